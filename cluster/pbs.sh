#!/bin/bash
# From the project's folder, after ./launch/build:   EKI_RUN="dnn2 --out runs/dnn2" qsub -v EKI_RUN cluster/pbs.sh
# Change limits in this file (or a copy: add EKI_SCRIPT=mine.sh, and its name to -v), not on qsub's command line: the next job reads only this.
#
# Nodes, cores of each, ranks on each, threads of a rank (mpiprocs x ompthreads = ncpus).
#PBS -l select=2:ncpus=32:mpiprocs=4:ompthreads=8
#PBS -l walltime=04:00:00
#PBS -N eki-mpi
#PBS -j oe
# This script submits the next job itself; run again by the server too, two jobs would share one folder.
#PBS -r n
set -uo pipefail
cd "$PBS_O_WORKDIR" || exit 2
# module load openmpi                 # what ./launch/build was given
source launch/start

# Words as on the command line: quotes hold blanks together, * and [ ] stand for themselves.
set -f
eval "run=(${EKI_RUN:-})" || exit 2
set +f
out=$(folder_of "${run[@]-}") || { echo 'usage: EKI_RUN="<PRESET|FILE.toml> --out DIR [more options]" qsub -v EKI_RUN cluster/pbs.sh' >&2; exit 2; }

# PBS sends no signal before the limit: the program is told the time instead, less a minute for starting up (of less than
# four minutes, a quarter). It saves in time and exits with 75.
limit=$(qstat -f "$PBS_JOBID" | awk -F '[ =:]+' '/Resource_List.walltime/ {
    s = $(NF-2) * 3600 + $(NF-1) * 60 + $NF; s -= s < 240 ? s / 4 : 60
    printf "%02d:%02d:%02d", s / 3600, s % 3600 / 60, s % 60 }')

# The nodes' file has a line a rank. --resume starts from the beginning where there is nothing to resume, so the first
# job and all later ones are alike.
command_of "${run[@]}"
start mpirun -n "$(wc -l <"$PBS_NODEFILE")" --hostfile "$PBS_NODEFILE" --bind-to none \
    "${EKI_MPI:-target/release/eki-mpi}" ${before:+"$before"} "${run[@]}" --threads "${OMP_NUM_THREADS:-1}" \
    ${limit:+--max-time "$limit"} ${after:+"$after"}

# TERM comes from qdel, which means it. Names alone, since a value given to -v may hold no comma.
if goes_on "$out"; then
    qsub -v "EKI_RUN${EKI_MPI:+,EKI_MPI}${EKI_SCRIPT:+,EKI_SCRIPT}" "${EKI_SCRIPT:-cluster/pbs.sh}"
fi
exit "$status"
