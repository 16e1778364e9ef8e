#!/usr/bin/env bash
# A gdpw-pipe command on a Ray cluster of Slurm nodes, which lasts as long as the command:
#
#   sbatch --nodes 4 --cpus-per-task 32 --gpus-per-node 4 deploy/slurm.sh preprocess /data/videos /data/dataset
#
# All nodes see the same files: the environment that `make setup` made here, the inputs, the output. A job that Slurm
# takes off its nodes and starts anew goes on with what is missing.
#SBATCH --job-name=gdpw-pipe
#SBATCH --ntasks-per-node=1
#SBATCH --exclusive
#SBATCH --requeue
set -euo pipefail

checkout=${SLURM_SUBMIT_DIR:-$PWD}
export PATH="$checkout/.venv/bin:$PATH" RAY_USAGE_STATS_ENABLED=0
port=${RAY_PORT:-6379}
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head --lines=1)
address=$(srun --nodes=1 --ntasks=1 --nodelist="$head" hostname --ip-address | cut --delimiter=' ' --fields=1)
resources=(--num-cpus="${SLURM_CPUS_PER_TASK:-1}" --num-gpus="${SLURM_GPUS_ON_NODE:-0}")

trap 'kill $(jobs -p) 2>/dev/null || true' EXIT

srun --nodes=1 --ntasks=1 --nodelist="$head" \
    ray start --head --node-ip-address="$address" --port="$port" --dashboard-host=127.0.0.1 "${resources[@]}" --block &
until ray status --address "$address:$port" >/dev/null 2>&1; do
    kill -0 $! || { echo "slurm.sh: Ray did not start on $head" >&2; exit 1; }
    sleep 1
done

if (( SLURM_JOB_NUM_NODES > 1 )); then
    srun --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$head" \
        ray start --address="$address:$port" "${resources[@]}" --block &
fi

gdpw-pipe "$@" --address "$address:$port"
