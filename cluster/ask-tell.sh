#!/bin/bash
# Calibrates a simulator each of whose simulations is a job of its own, in a Slurm array (preset = "ask-tell"):
#   cluster/ask-tell.sh mine.toml runs/mine member.sbatch        from the login node, or a small long job
# Task I of the array simulates line I + 1 of $EKI_ASK/parameters.csv and leaves its outputs in $EKI_ASK/I.out, as in
# cluster/member.sbatch. A task that leaves none is a member that failed. Started again after any end it goes on where it
# was; what is simulated already is not simulated again.
set -uo pipefail
[[ $# == 3 ]] || { echo "usage: $0 FILE.toml RUN_FOLDER MEMBER_SCRIPT" >&2; exit 2; }
file=$1 run=$2 script=$3
program=${EKI_MPI:-$(dirname "$0")/../target/release/eki-mpi}

while :; do
    status=0
    "$program" run "$file" --out "$run" --resume || status=$?
    # 75 with nothing asked is a stop: a signal, or a file named STOP.
    [[ $status == 75 && -e $run/ask/now ]] || exit "$status"
    EKI_ASK=$(readlink -f "$run/ask/now")
    export EKI_ASK
    members=$(($(wc -l <"$EKI_ASK/parameters.csv") - 1))
    missing=()
    for ((i = 1; i <= members; i++)); do
        [[ -s $EKI_ASK/$i.out ]] || missing+=("$i")
    done
    tasks=$(IFS=, && echo "${missing[*]}")
    [[ ${#missing[@]} == "$members" ]] && tasks=1-$members
    if [[ $tasks ]]; then
        # Its exit code is the tasks', which may fail; its number tells that it was taken.
        job=$(sbatch --parsable --wait --array="$tasks" "$script")
        [[ $job ]] || { echo "$0: the array was not submitted; nothing is lost, start this again" >&2; exit 1; }
    fi
    for ((i = 1; i <= members; i++)); do
        if [[ -s $EKI_ASK/$i.out ]]; then tr -s '[:space:]' ' ' <"$EKI_ASK/$i.out"; else printf 'failed: no outputs'; fi
        echo
    done >"$EKI_ASK/outputs.csv.part"
    mv "$EKI_ASK/outputs.csv.part" "$EKI_ASK/outputs.csv"
done
