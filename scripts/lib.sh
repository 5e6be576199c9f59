# Sourced by the other scripts (bash): an environment in .venv with this package in it.
#
# A second run costs nothing: .venv/.installed-* are copies of the setup.cfg that the packages came from.

root=$(dirname "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")")

say() { echo "$(basename "$0"): $*" >&2; }
die() { say "$*"; exit 1; }

# apt_install PACKAGE...: install Debian packages as root, else fail.
apt_install() {
    [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null || return 1
    say "installing $* with apt-get"
    apt-get -qq update >&2 && DEBIAN_FRONTEND=noninteractive apt-get -qq install --yes "$@" >&2
}

# need COMMAND PACKAGE: make sure that a command exists.
need() {
    command -v "$1" >/dev/null || apt_install "$2" || die "needs the command $1: install the package $2"
}

# fetch_nginx: put Debian's nginx into .venv, if there is none. Installed, it would begin to serve on this machine.
fetch_nginx() {
    PATH=$PATH:/usr/sbin:$root/.venv/bin command -v nginx >/dev/null && return
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    local folder=$root/.venv/nginx
    say "fetching nginx with apt-get"
    rm -rf "$folder" && mkdir "$folder" && cd "$folder" || return 1
    # As the user that asks: apt's own may not write here.
    local download="apt-get -qq -o APT::Sandbox::User= download nginx"
    $download || { apt-get -qq update && $download; } || return 1
    dpkg-deb -x nginx_*.deb . && usr/sbin/nginx -v && ln -sf ../nginx/usr/sbin/nginx "$root/.venv/bin/nginx"
}

# find_python: print the newest Python >= 3.11 that can make a virtual environment.
find_python() {
    local name
    for name in python3.14 python3.13 python3.12 python3.11 python3 python; do
        "$name" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || continue
        command -v "$name"
        return
    done
    return 1
}

# make_venv [EXTRA]: .venv with linksocks and, if asked for, an extra of setup.cfg.
make_venv() {
    local extra=${1:-} python
    local venv_python=$root/.venv/bin/python stamp=$root/.venv/.installed-${extra:-base}
    # -I: what counts is what is installed, not what lies in the current directory.
    cmp -s "$root/setup.cfg" "$stamp" && "$venv_python" -Ic 'import linksocks' 2>/dev/null && return
    if ! "$venv_python" -Ic 'import pip' 2>/dev/null; then
        python=$(find_python) || { apt_install python3-venv && python=$(find_python); } ||
            die "needs Python 3.11 or newer with venv and ensurepip; on Debian and Ubuntu: apt-get install python3-venv"
        say "making .venv with $python"
        "$python" -m venv --clear "$root/.venv" || die "could not make .venv with $python"
    fi
    say "installing linksocks${extra:+ with what its $extra extra needs} into .venv"
    "$venv_python" -m pip --quiet --disable-pip-version-check install --editable "$root${extra:+[$extra]}" ||
        die "pip failed; what it said is above"
    cp "$root/setup.cfg" "$root/.venv/.installed-base"
    cp "$root/setup.cfg" "$stamp"
}
