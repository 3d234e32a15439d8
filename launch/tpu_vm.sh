#!/usr/bin/env bash
# Google Cloud TPU: run medjax on every worker of a TPU VM or pod slice.
#
#   launch/tpu_vm.sh --name=TPU --zone=ZONE [--setup] [--dry_run] --config=PATH[:words] [flags]
#
# --setup first copies the committed state of this repository to ~/medjax on every worker and
# installs it. Several workers join by jax.distributed; the workdir must then lie on a disk that
# all of them mount. Patient data stay where they are: nothing but the repository is copied.
set -euo pipefail

name=""
zone=""
setup=false
dry_run=false
arguments=()
for argument in "$@"; do
  case "$argument" in
    --name=*) name=${argument#--name=} ;;
    --zone=*) zone=${argument#--zone=} ;;
    --setup) setup=true ;;
    --dry_run) dry_run=true ;;
    *) arguments+=("$argument") ;;
  esac
done
if [[ -z $name || -z $zone ]]; then
  echo "tpu_vm.sh: --name=TPU and --zone=ZONE are needed" >&2
  exit 2
fi

run() {
  if "$dry_run"; then
    printf '%s\n' "$(printf '%q ' "$@")"
  else
    "$@"
  fi
}

on_workers() {
  run gcloud compute tpus tpu-vm ssh "$name" --zone="$zone" --worker=all --command="$1"
}

if "$setup"; then
  archive=medjax.tar.gz
  run git archive --format=tar.gz --prefix=medjax/ --output="$archive" HEAD
  run gcloud compute tpus tpu-vm scp "$archive" "$name:" --zone="$zone" --worker=all
  run rm "$archive"
  on_workers "tar -xzf $archive && pip install -e 'medjax[tpu]'"
fi
flags=$(printf '%q ' ${arguments[@]+"${arguments[@]}"} --config.distributed)
on_workers "cd medjax && python -m medjax.main ${flags% }"
