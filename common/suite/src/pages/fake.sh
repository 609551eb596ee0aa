# Plays a stage in the tests of this folder. No socket is opened: a server says that it listens on
# port 1, and who connects to that one finds it.
case "$*" in
'')
    printf '1. A server\n   listening on 127.0.0.1:1\n\n2. alice\n'
    # A byte that differs, for the number of the process does.
    printf '   bytes\n      2a %02x  a row\n' $(($$ % 251))
    exit ;;
*--help)
    echo 'server client --listen <ADDR>, --name [NAME] -v... --step'
    exit ;;
*--broken*)
    echo broken
    exit 1 ;;
*'server --listen 127.0.0.1:0'*)
    echo listening on 127.0.0.1:1
    exec sleep 1000 ;;
*'server --listen 192'*)
    echo "error: cannot listen on $3" >&2
    exit 1 ;;
*'server --listen'*)
    echo "error: port ${3#*:} is in use" >&2
    exit 1 ;;
client\ 127.0.0.1:1\ *) ;;
client*)
    echo "nobody at $2" >&2
    exit 1 ;;
waits)
    exec sleep 1000 ;;
*)
    echo "no subcommand $1" >&2
    exit 2 ;;
esac

if [ ! -t 0 ]; then
    echo "at $2"
    while read -r line; do
        case $line in
        @help) echo '@help [COMMAND] | @names - this' ;;
        *) echo "said $line" ;;
        esac
    done
    echo warning: end >&2
    exit
fi

name=$4 status='' code=0
printf '* %s joined\n' "$name"
while printf '%s%s> ' "$name" "$status" && read -r line; do
    case $line in
    # Incoming lines take the place of the prompt, which is drawn anew below them.
    burst) for line in '* bob joined' 'bob: one' 'bob: two' 'bob: three'; do
        printf '%s%s> \r\033[K%s\n' "$name" "$status" "$line"
    done ;;
    @names) echo "* here: $name" ;;
    '@status dnd') status=' (dnd)' ;;
    fail) code=1 ;;
    crash) exit 1 ;;
    @quit) exit $code ;;
    esac
done
