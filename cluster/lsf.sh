#!/bin/bash
# From the project's folder, after ./launch/build:   EKI_RUN="dnn2 --out runs/dnn2" bsub < cluster/lsf.sh
# Options given to bsub win over those written here:   ... bsub -n 512 -W 8:00 < cluster/lsf.sh
#
# Cores in all and on each host; EKI_THREADS of them make a rank.
#BSUB -n 64
#BSUB -R "span[ptile=32]"
#BSUB -W 4:00
# Three minutes before the limit USR1 comes and is handed on: the program saves and exits with 75.
#BSUB -wa USR1
#BSUB -wt 3
# On 75, and on nothing else, LSF itself puts the job back into its queue.
#BSUB -Q "75"
#BSUB -J eki-mpi
#BSUB -o eki-mpi-%J.log
set -uo pipefail
cd "$LS_SUBCWD" || exit 2
# module load openmpi                 # what ./launch/build was given
threads=${EKI_THREADS:-8}
source launch/start

# Words as on the command line: quotes hold blanks together, * and [ ] stand for themselves.
set -f
eval "run=(${EKI_RUN:-})" || exit 2
set +f
out=$(folder_of "${run[@]-}") || { echo 'usage: EKI_RUN="<PRESET|FILE.toml> --out DIR [more options]" bsub < cluster/lsf.sh' >&2; exit 2; }

# Should no warning come, the program knows the limit by itself, less a minute for starting up (of less than four minutes, a
# quarter), where bjobs tells it (LSF 10.1).
limit=$(bjobs -noheader -hms -o runtimelimit "$LSB_JOBID" 2>/dev/null | awk -F : '/^ *[0-9]+:[0-9]+:[0-9]+ *$/ {
    s = $1 * 3600 + $2 * 60 + $3; s -= s < 240 ? s / 4 : 60; printf "%02d:%02d:%02d", s / 3600, s % 3600 / 60, s % 60 }')

# --resume starts from the beginning where there is nothing to resume, so the first job and all later ones are alike.
# Ranks go round the hosts, since LSF's list counts cores.
command_of "${run[@]}"
start mpirun -n $((LSB_DJOB_NUMPROC / threads)) --map-by node --bind-to none \
    "${EKI_MPI:-target/release/eki-mpi}" ${before:+"$before"} "${run[@]}" --threads "$threads" \
    ${limit:+--max-time "$limit"} ${after:+"$after"}

# INT and TERM come from bkill, which means it. LSF requeues on 75, which must not be seen where the run is not to go on.
if [[ $status == 75 ]] && ! goes_on "$out"; then
    [[ $asked == INT || $asked == TERM || $asked == HUP ]] && status=143 || status=76
fi
exit "$status"
