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

# found COMMAND: whether it is on this machine, perhaps where only root looks, or in .venv.
found() { PATH=$PATH:/usr/sbin:$root/.venv/bin command -v "$1" >/dev/null; }

# fetch PACKAGE...: unpack Debian packages into .venv/debian. Installed, servers would begin to serve on this machine.
fetch() {
    command -v apt-get >/dev/null && command -v dpkg-deb >/dev/null || return 1
    local folder=$root/.venv/debian package
    say "fetching $* with apt-get"
    mkdir -p "$folder" && cd "$folder" && rm -f ./*.deb || return 1
    # As the user that asks: apt's own may not write here.
    local download="apt-get -qq -o APT::Sandbox::User= download $*"
    $download || { apt-get -qq update && $download; } || return 1
    for package in *.deb; do
        dpkg-deb -x "$package" . || return 1
    done
}

# fetch_nginx: make sure that there is an nginx, in .venv/bin if nowhere else.
fetch_nginx() {
    found nginx && return
    fetch nginx && usr/sbin/nginx -v && ln -sf ../debian/usr/sbin/nginx "$root/.venv/bin/nginx"
}

# fetch_sshd: make sure that there is an sshd, likewise, and that it can run.
fetch_sshd() {
    # To it sshd drops the rights of root. Its package would add it.
    [ "$(id -u)" != 0 ] || getent passwd sshd >/dev/null ||
        useradd --system --no-create-home --home-dir /run/sshd --shell /usr/sbin/nologin sshd || return 1
    found sshd && return
    fetch openssh-server libwrap0 || return 1
    local libwrap part options=""
    libwrap=$(find "$PWD" -name libwrap.so.0) || return 1
    for part in Session Auth; do  # programs of their own since OpenSSH 9.8 and 10.0
        [ ! -x "usr/lib/openssh/sshd-${part,}" ] || options+=" -o Sshd${part}Path=$PWD/usr/lib/openssh/sshd-${part,}"
    done
    # sshd starts itself again for each connection: only by its whole path, and with the same environment.
    printf '#!/bin/sh\nLD_LIBRARY_PATH=%q exec %q%s "$@"\n' "$(dirname "$libwrap")" "$PWD/usr/sbin/sshd" "$options" \
        >"$root/.venv/bin/sshd" && chmod +x "$root/.venv/bin/sshd"
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
