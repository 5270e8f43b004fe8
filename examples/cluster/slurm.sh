#!/bin/bash
#SBATCH --job-name=dsi
#SBATCH --nodes=4
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=16
#SBATCH --gpus-per-task=4
#SBATCH --mem=128G
#SBATCH --time=02:00:00

source "$HOME/envs/dsi/bin/activate"
export RAY_USAGE_STATS_ENABLED=0
export RAY_TMPDIR="/tmp/ray-$SLURM_JOB_ID"      # a short path
export RAY_AUTH_MODE=token                      # keeps others out, from Ray 2.52 on
export RAY_AUTH_TOKEN="$(openssl rand -hex 32)"
port=$((20000 + SLURM_JOB_ID % 20000))
head=$(scontrol show hostnames "$SLURM_JOB_NODELIST" | head -n 1)
cores=$SLURM_CPUS_PER_TASK
export SRUN_CPUS_PER_TASK=$cores
gpus=${SLURM_GPUS_PER_TASK:-0}

srun --overlap --nodes=1 --ntasks=1 -w "$head" \
    ray start --head --port="$port" --num-cpus="$cores" --num-gpus="$gpus" --include-dashboard=false --block &
for _ in $(seq 10); do ray status --address "$head:$port" > /dev/null 2>&1 && break; sleep 2; done
if [ "$SLURM_JOB_NUM_NODES" -gt 1 ]; then
    srun --overlap --nodes=$((SLURM_JOB_NUM_NODES - 1)) --ntasks=$((SLURM_JOB_NUM_NODES - 1)) --exclude="$head" \
        ray start --address="$head:$port" --num-cpus="$cores" --num-gpus="$gpus" --block &
fi

srun --overlap --nodes=1 --ntasks=1 -w "$head" \
    python analyze.py "$head:$port"
