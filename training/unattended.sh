#!/bin/sh
# Trains for a while on a machine without network, with what training.carry packed, or goes on where it stopped.
# Usage, from the root of the repository: training/unattended.sh RECIPE CARRIED RUN RESULTS SECONDS [FLAGS of training.run]
# CARRIED: the packed folder. RUN: where the run lives, outside of what is carried. RESULTS: gets what is worth keeping;
# put into CARRIED/start, it lets another machine go on.
set -eu
recipe=$1 carried=$2 run=$3 results=$4 seconds=$5
shift 5
python=${PYTHON:-python3}
if [ ! -d "$run/packages" ]; then
	mkdir -p "$run"
	"$python" -m pip install --quiet --no-index --no-deps --no-compile --target "$run/packages" "$carried"/wheels/*.whl
	cp "$carried"/start/* "$run"
fi
PYTHONUNBUFFERED=1 PYTHONPATH="$run/packages:." "$python" -m training.run "$recipe" "$run" \
	--data-root "$carried" --limit-s "$seconds" "$@"
mkdir -p "$results"
for file in checkpoint.pt optimiser.pt best.pt metrics.jsonl curves.svg; do
	[ ! -e "$run/$file" ] || cp "$run/$file" "$results"
done
tail -n 3 "$run/metrics.jsonl"
