#!/bin/bash
# Calibrates a simulator each of whose simulations is a job of its own, in a Slurm array (preset = "ask-tell"):
#   cluster/ask-tell.sh mine.toml runs/mine member.sbatch        from the login node, or a small long job
# Task I of the array simulates line I + 1 of $EKI_ASK/parameters.csv and leaves its outputs in $EKI_ASK/I.out, as in
# cluster/member.sbatch. A task that leaves none is a member that failed. Started again after any end it waits for the array
# that it had submitted, whose number is in $EKI_ASK/job, and goes on where it was; what is simulated already, or is being
# simulated, is not simulated again.
set -uo pipefail
[[ $# == 3 ]] || { echo "usage: $0 FILE.toml RUN_FOLDER MEMBER_SCRIPT" >&2; exit 2; }
file=$1 run=$2 script=$3
program=${EKI_MPI:-$(dirname "$0")/../target/release/eki-mpi}

# Prints the numbers of the members without outputs, with commas between.
missing() {
    local i found=()
    for ((i = 1; i <= members; i++)); do
        [[ -s $EKI_ASK/$i.out ]] || found+=("$i")
    done
    (IFS=, && echo "${found[*]-}")
}

# Prints whether the array is "over" or "queued" (or running), or why Slurm cannot tell.
state() {
    local job answer where=()
    job=$(tail -n 1 "$EKI_ASK/job")
    [[ $job != *";"* ]] || where=(--clusters="${job#*;}")
    if [[ -z $job ]]; then
        echo over # it was never submitted
    elif answer=$(squeue --noheader "${where[@]+"${where[@]}"}" --jobs="${job%%;*}" 2>&1); then
        [[ $answer ]] && echo queued || echo over
    elif [[ $answer == *"Invalid job id"* ]]; then
        echo over # Slurm forgets a job some minutes after its end
    else
        echo "unknown: ${answer%%$'\n'*}"
    fi
}

# Waits until the array is over or all outputs are there; with "submitted", which sbatch has waited for, not where Slurm cannot tell.
await() {
    local now pause=1 said=''
    while [[ $(missing) ]]; do
        now=$(state)
        [[ $now != over ]] || return
        [[ $now == queued || ! ${1-} ]] || return
        [[ $said ]] || echo "$0: waiting for job $(tail -n 1 "$EKI_ASK/job") ($now); to submit its members anew, cancel it and remove $EKI_ASK/job" >&2
        said=yes
        sleep "$pause"
        ((pause = pause < 20 ? pause * 2 : 30))
    done
}

# Prints the line of outputs of member $1. A file of two writers may hold zero bytes.
outputs() {
    local out=$EKI_ASK/$1.out
    if [[ ! -s $out ]]; then
        printf 'failed: no outputs'
    elif [[ $(tr -d '\0' <"$out" | wc -c) != "$(wc -c <"$out")" ]]; then
        printf 'failed: its outputs hold zero bytes'
    else
        tr -s '[:space:]' ' ' <"$out"
    fi
    echo
}

while :; do
    status=0
    "$program" run "$file" --out "$run" --resume || status=$?
    # 75 with nothing asked is a stop: a signal, or a file named STOP.
    [[ $status == 75 && -e $run/ask/now ]] || exit "$status"
    if [[ -e $run/STOP ]]; then
        rm -f "$run/STOP"
        echo "$0: stopped by a file named STOP; start this again to go on" >&2
        exit 75
    fi
    EKI_ASK=$(readlink -f "$run/ask/now")
    export EKI_ASK
    members=$(($(wc -l <"$EKI_ASK/parameters.csv") - 1))
    if [[ -e $EKI_ASK/job ]]; then
        [[ -s $EKI_ASK/job ]] || sleep 5 # it may have been submitted a moment ago
        await
    fi
    tasks=$(missing)
    [[ $tasks != "$(seq -s , "$members")" ]] || tasks=1-$members
    if [[ $tasks ]]; then
        # Its number is written as soon as it is taken. Its exit code is the tasks', which may fail.
        sbatch --parsable --wait --array="$tasks" "$script" >"$EKI_ASK/job"
        if [[ ! -s $EKI_ASK/job ]]; then
            rm "$EKI_ASK/job"
            echo "$0: the array was not submitted; nothing is lost, start this again" >&2
            exit 1
        fi
        await submitted
    fi
    part=$(mktemp "$EKI_ASK/outputs.csv.XXXXXX") || exit 1
    for ((i = 1; i <= members; i++)); do outputs "$i"; done >"$part"
    mv "$part" "$EKI_ASK/outputs.csv"
done
