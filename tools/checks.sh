# What ./dev checks without running a test.

# fast_checks: those of the Python code.
fast_checks() {
    "$bin/ruff" check --quiet .
    "$bin/ruff" format --quiet --check .
    "$bin/mypy"
    PYTHONPATH=src "$bin/lint-imports" --no-logo
} 2>&1

checks() {
    fast_checks
    for script in dev tools/*.sh .ci/run; do sh -n "$script"; done
    "$bin/hadolint" Dockerfile
    need systemd-analyze:systemd
    check_unit deploy/musterroll.service
    check_unit deploy/ray/musterroll-ray.service
    check_chart deploy/chart
} 2>&1

# check_unit FILE: verify a unit with systemd, and how exposed it is. Its command is not
# installed here, so it is replaced by ours. systemd exits with 0 after warnings, so any output fails.
check_unit() {
    copies=$(mktemp -d)
    unit=$copies/$(basename "$1")
    sed "s#/opt/musterroll/bin/[a-z]*#$PWD/$bin/anyscale#" "$1" >"$unit"
    output=$(systemd-analyze verify "$unit" 2>&1) || output="$output (failed)"
    exposed=$(systemd-analyze security --offline=true --no-pager --threshold=20 "$unit" 2>&1) ||
        output="$output$exposed"
    rm -r "$copies"
    fail_with "$output"
}

# check_chart FOLDER: check a Helm chart, and the objects that it renders for each of its sets of
# values, by the oldest and the newest Kubernetes. Both programs exit with 0 after some warnings, so
# any output fails.
check_chart() {
    environment chart
    rendered=$(mktemp -d)
    output=
    for values in "$1"/ci/*.yaml; do
        output=$output$("$helm" lint --strict --quiet "$1" --values "$values" 2>&1) ||
            output="$output (failed)"
        output=$output$("$helm" template musterroll "$1" --values "$values" 2>&1 \
            >"$rendered/$(basename "$values")") || output="$output (failed)"
    done
    for version in 1.31 1.37; do
        output=$output$("$venv/chart/bin/kubernetes-validate" --strict --quiet -k "$version" \
            "$rendered"/*.yaml 2>&1) || output="$output (failed)"
    done
    rm -r "$rendered"
    fail_with "$output"
}

# fail_with OUTPUT: fail if there is any.
fail_with() {
    [ ! "$1" ] || {
        say "$1"
        return 1
    }
}
