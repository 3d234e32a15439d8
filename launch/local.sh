#!/usr/bin/env bash
# One machine: run medjax once for every seed, one after the other.
#
#   launch/local.sh [--dry_run] [--seeds=1,2,3] --config=PATH[:words] [flags of medjax.main]
#
# Without --seeds there is one run, with the config's own seed. A run that is stopped by a signal
# saves first, and the same line continues it. Give no --workdir with several seeds: each run has
# its own by default. PYTHON names another interpreter.
set -euo pipefail

dry_run=false
seeds=()
arguments=()
for argument in "$@"; do
  case "$argument" in
    --dry_run) dry_run=true ;;
    --seeds=*) IFS=, read -r -a seeds <<<"${argument#--seeds=}" ;;
    *) arguments+=("$argument") ;;
  esac
done

run() {
  local command=("${PYTHON:-python}" -m medjax.main "$@")
  if "$dry_run"; then
    printf '%s\n' "$(printf '%q ' "${command[@]}")"
    return
  fi
  local code=0
  "${command[@]}" &
  local child=$!
  trap 'kill -TERM "$child" 2>/dev/null || true' TERM
  trap : INT # Ctrl-C reaches the run by itself; a second signal would stop it before it saved.
  # A trapped signal ends the first wait; the run itself is still saving then.
  wait "$child" || code=$?
  if kill -0 "$child" 2>/dev/null; then
    code=0
    wait "$child" || code=$?
  fi
  if [[ $code -ne 0 ]]; then
    exit "$code"
  fi
}

if [[ ${#seeds[@]} -eq 0 ]]; then
  run ${arguments[@]+"${arguments[@]}"}
fi
for seed in ${seeds[@]+"${seeds[@]}"}; do
  run ${arguments[@]+"${arguments[@]}"} "--config.seed=$seed"
done
