#!/usr/bin/env bash
# Starts one service on several machines: a frontend on the first node, an engine on every node, over ssh; or on this machine alone with
# --local, each node being processes of its own. Ctrl-C, SIGTERM or the end of this script stops everything in order, frontend first.
#
#   scripts/launch-multinode.sh --nodes a,b,c [--nats nats://a:4222] [--dir DIR] [--ssh "ssh -p 2222"] [--port 8188] [--local] [-- FLAGS…]
#
#   --nodes   where to start; ssh must log in without asking for a password
#   --nats    the NATS servers that all nodes can reach; without it a nats-server is started on the first node, port 4222
#   --dir     folder of troupe on every node; this one's by default
#   --ssh     the command that reaches a node
#   --port    where the frontend listens, on the first node
#   FLAGS     for every engine and the frontend, e.g. --model DIR --quantization wint8
set -euo pipefail

fail() { echo "launch-multinode: $*" >&2; exit 2; }

nodes='' nats='' dir=$(cd "$(dirname "$0")/.." && pwd) ssh='ssh -o BatchMode=yes' port=8188 is_local=0
while [ $# -gt 0 ]; do
  case $1 in
    --nodes) nodes=${2:?--nodes needs a list}; shift 2 ;;
    --nats) nats=${2:?--nats needs an address}; shift 2 ;;
    --dir) dir=${2:?--dir needs a folder}; shift 2 ;;
    --ssh) ssh=${2:?--ssh needs a command}; shift 2 ;;
    --port) port=${2:?--port needs a number}; shift 2 ;;
    --local) is_local=1; shift ;;
    --help) sed -n '2,14s/^# \{0,1\}//p' "$0"; exit 0 ;;
    --) shift; break ;;
    *) fail "unknown argument $1, see --help" ;;
  esac
done
[ -n "$nodes" ] || fail 'give the nodes with --nodes a,b,c'
IFS=, read -ra names <<< "$nodes"
first=${names[0]}
host=0.0.0.0
[ "$is_local" = 1 ] && host=127.0.0.1

# A command on a node, in a session of its own: Ctrl-C is for this script, which then ends the nodes one after the other.
on() {
  local node=$1 command=$2
  if [ "$is_local" = 1 ]; then
    setsid -w bash -c "$command"
  else
    # shellcheck disable=SC2086
    setsid -w $ssh "$node" "$command"
  fi
}

pids=()
start() {
  local node=$1 label=$2 command=$3
  # The pipe stays open as long as this script lives; its end stops the command in order.
  local watched="cd '$dir' && exec 3<&0 && { $command & child=\$!; { cat <&3 >/dev/null; kill -TERM \$child 2>/dev/null; } & wait \$child; }"
  mkfifo "$folder/$label"
  on "$node" "$watched" < "$folder/$label" 2>&1 | sed -u "s/^/[$label] /" &
  pids+=($!)
  exec {descriptor}> "$folder/$label"
  inputs+=("$descriptor")
}

folder=$(mktemp -d)
inputs=()
stop() {
  trap '' INT TERM
  # Last started first: the frontend's streams finish while engines still serve.
  for ((i = ${#inputs[@]} - 1; i >= 0; i--)); do
    local descriptor=${inputs[i]}
    exec {descriptor}>&-
    wait "${pids[i]}" 2>/dev/null || true
  done
  rm -rf "$folder"
}
trap 'stop; exit 0' INT TERM
trap 'stop' EXIT

if [ -z "$nats" ]; then
  broker=${first#*@}
  [ "$is_local" = 1 ] && broker=127.0.0.1
  nats=nats://$broker:4222
  start "$first" nats "nats-server -a $host -p 4222"
fi
flags=''
for flag in "$@"; do flags+=" $(printf '%q' "$flag")"; done
called() { echo "${1//[^A-Za-z0-9_-]/-}"; } # a host name may have dots, a node's has none
for name in "${names[@]}"; do
  start "$name" "engine@$name" "node scripts/troupe.mjs engine --nats $nats --node-name $(called "$name") --log-format json$flags"
done
start "$first" "frontend@$first" \
  "node scripts/troupe.mjs frontend --nats $nats --node-name $(called "$first")-edge --host $host --port $port --log-format json$flags"

# Ends with the first of them that ends by itself.
wait -n "${pids[@]}" || true
echo 'launch-multinode: a process ended; stopping the others' >&2
