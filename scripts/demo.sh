#!/usr/bin/env bash
# The main job on real events, from nothing: installs packages, builds, starts Redis and the embedded broker on free
# loopback ports, replays eleven months of a gift wholesaler's purchases, and shows lists changing as customers buy, with
# an experiment of two arms: half of the customers get lists that know what is bought together, half do without.
# --keep leaves it running.
set -euo pipefail
source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

keep=
case "${1:-}" in
    "") ;;
    --keep) keep=1 ;;
    *) die "usage: scripts/demo.sh [--keep]" ;;
esac
[ $# -le 1 ] || die "usage: scripts/demo.sh [--keep]"

need_packages "$top/scripts/packages-build.txt"
say "building"
cmake -S "$top" -B "$top/build" -G Ninja -DCMAKE_BUILD_TYPE=Release >/dev/null
cmake --build "$top/build" --target freshet -j "$(jobs_count)" >/dev/null
freshet=$top/build/freshet

dir=$(mktemp -d "${TMPDIR:-/tmp}/freshet-demo.XXXXXX")
redis_pid='' broker_pid='' daemon_pid='' replay_pid=''

clean_up() {
    [ -z "$keep" ] || return 0
    for pid in $replay_pid $daemon_pid $broker_pid $redis_pid; do end_process "$pid"; done
    rm -rf "$dir"
}
trap clean_up EXIT
trap 'keep=; exit 130' INT TERM

say "starting Redis, a broker and freshet in $dir"
redis_port=$(free_port)
redis-server --port "$redis_port" --bind 127.0.0.1 --save '' --appendonly no --dir "$dir" \
    --daemonize no >"$dir/redis.log" 2>&1 &
redis_pid=$!
"$freshet" broker --topics purchases,products,purchases.dead --partitions 3 >"$dir/broker" 2>"$dir/broker.log" &
broker_pid=$!
wait_for 10 redis redis-cli -p "$redis_port" ping
wait_for 10 broker test -s "$dir/broker"

token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
cat >"$dir/freshet.yaml" <<YAML
kafka:
  bootstrap.servers: $(cat "$dir/broker")
  fetch.wait.max.ms: 2   # the embedded broker answers an empty fetch only after this time
consumer:
  topic: purchases
  items_topic: products
events:
  purchase: {weight: 1, hides: true}
redis:
  address: 127.0.0.1:$redis_port
state:
  dir: $dir/state
train:
  first_events: 5000
  min_events: 20000
  every: 30s
model:
  together_weight: 0    # for the sake of the experiment; the default is the arm's
experiment: {id: demo}
arms:
  control: {control: true}
  together:
    share: 0.5
    model: {together_weight: fitted}
    guard: {hit20_drop: 0.1}
http:
  listen: 127.0.0.1:0
  token: $token
YAML
"$freshet" run --config "$dir/freshet.yaml" 2>"$dir/freshet.log" &
daemon_pid=$!
wait_for 20 freshet "$freshet" status --config "$dir/freshet.yaml"
has_partitions() { "$freshet" status --config "$dir/freshet.yaml" --json | grep -q '"partitions":\[{'; }
wait_for 30 partitions has_partitions
dashboard=http://$("$freshet" status --config "$dir/freshet.yaml" --json | sed -n 's/.*"http":"\([^"]*\)".*/\1/p')/
say "dashboard: $dashboard"
"$freshet" items "$top/data/online-retail-items.tsv.zst" --config "$dir/freshet.yaml" >/dev/null

say "replaying Online Retail (316,075 purchases, December 2010 to October 2011)"
"$freshet" replay "$top/data/online-retail.tsv.zst" --config "$dir/freshet.yaml" --shuffle-ties 1 --rate 2100 \
    >"$dir/produced" 2>"$dir/replay.log" &
replay_pid=$!
status=0
python3 "$top/scripts/demo_watch.py" "$freshet" "$dir/freshet.yaml" "$dir/produced" 316075 || status=$?
[ $status = 0 ] || tail -n 20 "$dir"/*.log >&2

if [ -n "$keep" ]; then
    cat <<TEXT

It is still running. The dashboard: $dashboard
To look around:
  $freshet status    --config $dir/freshet.yaml
  $freshet arms      --config $dir/freshet.yaml
  $freshet top       --config $dir/freshet.yaml
  $freshet recommend 14911 --config $dir/freshet.yaml
  curl -H 'Authorization: Bearer $token' ${dashboard}api/users/14911/list
  redis-cli -p $redis_port get rec:14911
  redis-cli -p $redis_port xrevrange rec:changes + - count 5
To end it: kill $daemon_pid $broker_pid $redis_pid; rm -r $dir
TEXT
fi
exit $status
