# shellcheck shell=bash disable=SC2154 # sourced by tests/yocto, whose variables these are
# Owns the parts of tests/yocto that build the whole image and run it: image,
# runqemu, testimage, variants. What stands in for which recipe, and why, is in
# stand-ins.toml beside this file, where the sources come from in sources.toml.

parts_of_image=$root/tests/yocto.d/image
image_build=$build/image
image_deploy=$image_build/tmp/deploy/images/qemuarm64
# As it is, and with the relay.
images=(camfw-image camfw-image-mail)
image_tools=(gcc:build-essential gawk:gawk bison:bison flex:flex bc:bc gperf:gperf quilt:quilt rsync:rsync lz4:lz4 cpio:cpio
    aarch64-linux-gnu-gcc:gcc-aarch64-linux-gnu aarch64-linux-gnu-g++:g++-aarch64-linux-gnu
    autoreconf:autoconf automake:automake libtoolize:libtool m4:m4 pkg-config:pkgconf msgfmt:gettext
    apt-ftparchive:apt-utils makeinfo:texinfo depmod:kmod mke2fs:e2fsprogs
    qemu-system-aarch64:qemu-system-arm qemu-img:qemu-utils ip:iproute2 ssh:openssh-client ps:procps ping:iputils-ping)
image_files=(/usr/include/sqlite3.h:libsqlite3-dev /usr/include/attr/attributes.h:libattr1-dev /usr/include/gelf.h:libelf-dev
    /usr/include/bsd/bsd.h:libbsd-dev /usr/include/openssl/ssl.h:libssl-dev /usr/lib/ipxe/qemu/efi-virtio.rom:ipxe-qemu
    /usr/lib/python3/dist-packages/websockets:python3-websockets /usr/lib/python3/dist-packages/pexpect:python3-pexpect
    /usr/lib/python3/dist-packages/git:python3-git /usr/lib/python3/dist-packages/jinja2:python3-jinja2
    /usr/lib/python3/dist-packages/subunit:python3-subunit)

need_image() {
    local entry missing=()
    for entry in "${image_tools[@]}"; do command -v "${entry%%:*}" >/dev/null || missing+=("${entry#*:}"); done
    for entry in "${image_files[@]}"; do [ -e "${entry%%:*}" ] || missing+=("${entry#*:}"); done
    [ "${#missing[@]}" -eq 0 ] || die "image: first, as root: apt-get install --no-install-recommends ${missing[*]}"
    need_rust
}

need_runqemu() {
    [[ " ${parts[*]} " == *" image "* ]] || [ -d "$image_deploy" ] || die "runqemu: first the part image"
}

need_testimage() {
    [[ " ${parts[*]} " == *" image "* ]] || [ -d "$image_deploy" ] || die "testimage: first the part image"
}

need_reproducible() {
    [[ " ${parts[*]} " == *" image "* ]] || [ -d "$image_deploy" ] || die "reproducible: first the part image"
}

need_board() {
    [[ " ${parts[*]} " == *" image "* ]] || [ -d "$image_deploy" ] || die "board: first the part image"
}

need_variants() {
    [[ " ${parts[*]} " == *" image "* ]] || [ -d "$image_deploy" ] || die "variants: first the part image"
    [ -x /usr/sbin/debugfs ] || die "variants: debugfs is missing"
}

# image_folder [NAME [LAYER...]]: its configuration, with what kas/camfw-qemuarm64.yml adds to local.conf.
image_folder() {
    local layers=("$oe_core/meta" "$meta_oe"/meta-{oe,python,networking} "$layer" "$checkout" "$parts_of_image"/meta-{standins,integrator} "${@:2}")
    [ "$toolchain" = debian ] || layers+=("$parts_of_image/meta-toolchain")
    folder "${1:-image}" camfw-router "${layers[@]}" <<EOF
BB_NUMBER_THREADS = "$(nproc)"
BB_NUMBER_PARSE_THREADS = "$(nproc)"
PARALLEL_MAKE = "-j$(nproc)"
INHERIT += "buildstats"
STANDINS_HOST = "$image_build/host"
STANDINS_LINKER = "$linker"
STANDINS_SYSROOT = "$sysroot"
VARIANTS_KEYS = "$build/variants/id.pub"
$(/usr/bin/python3 - "$layer/kas/camfw-qemuarm64.yml" <<'PYTHON'
import re, sys
print(re.sub(r"(?m)^ {4}", "", re.search(r"(?m)^  test: \|\n((?:    .*\n?)+)", open(sys.argv[1]).read())[1]))
PYTHON
)
require $image_build/apt/sources.conf
require conf/standins.conf
$([ "$toolchain" = debian ] || echo 'STANDINS_COMPILER = ""')
$(/usr/bin/python3 "$parts_of_image/standins.py" --toolchain "$toolchain" "$parts_of_image/stand-ins.toml" conf)

EOF
}

# image_bitbake ARGUMENT...: in that folder, with this machine's programs that OE-Core's tasks call.
image_bitbake() {
    in_image bitbake "$@"
}

in_image() {
    PATH=$image_build/host/bin:$PATH in_folder image "$@"
}

# The compiler's target as OE-Core describes it, libstd for it, and a linker for both.
image_rust() {
    local targets triple
    make_linker
    [ ! -e "$sysroot/lib/rustlib" ] || return 0
    image_bitbake -c rust_gen_targets camfw || return 1
    targets=$(echo "$image_build"/tmp/work/*/camfw/*/rust-targets)
    triple=$(basename "$targets"/*-musl.json .json)
    nice -n 10 "$root/tests/yocto.d/sysroot" "$targets" "$triple" "$linker" "$sysroot"
}

part_image() {
    local log=$build/image.log start=$SECONDS image
    /usr/bin/python3 "$parts_of_image/standins.py" --toolchain "$toolchain" "$parts_of_image/stand-ins.toml" print
    say "the sources, beside what the recipes name:"
    /usr/bin/python3 "$parts_of_image/sources.py" --toolchain "$toolchain" "$parts_of_image/sources.toml" \
        "$oe_core" "$meta_oe" "$image_build/apt" "$build/downloads" || return 1
    "$parts_of_image/prepare" "$image_build/host" "$build/downloads" || return 1
    say "sources and this machine's part: $((SECONDS - start)) s"
    image_folder
    : >"$log"
    image_rust >>"$log" 2>&1 || { ending "$log"; return 1; }
    # -k: one run tells all that fails.
    image_bitbake -k "${images[@]}" >>"$log" 2>&1 || { ending "$log"; return 1; }
    quiet_about_us "$log" || return 1
    say "$(grep -o 'Attempted [0-9]* tasks.*' "$log" | tail -n 1)"
    /usr/bin/python3 "$parts_of_image/times.py" "$image_build"/tmp/buildstats/* || return 1
    for image in "${images[@]}"; do image_contents "$image" || return 1; done
}

# The same package in a folder of another name and depth. All that it is built with
# comes from what the part image left; of camfw nothing does.
part_reproducible() {
    local log=$build/reproducible.log name=again/by/another/name again first package
    again=$build/$name
    image_folder
    # The first is camfw-router's: the part variants leaves another distribution's there, with its maintainer's name.
    image_bitbake -c package_write_deb camfw >"$log" 2>&1 || { ending "$log"; return 1; }
    rm -rf "$build/again"
    mkdir -p "$again"
    cp -al "$image_build/sstate-cache" "$again" && cp -a "$image_build/cache" "$again" || return 1
    find "$again/sstate-cache" -name 'sstate:camfw:*' -delete
    image_folder "$name"
    PATH=$image_build/host/bin:$PATH in_folder "$name" bitbake -c package_write_deb camfw >"$log" 2>&1 || { ending "$log"; return 1; }
    grep -q 'recipe camfw-.*do_compile: Started' "$log" || { say "camfw was not built anew"; return 1; }
    for first in "$image_build"/tmp/deploy/deb/aarch64*/camfw{,-dbg}_*.deb; do
        package=${first#"$image_build/"}
        (cd "$image_build" && sha256sum "$package") && cmp "$first" "$again/$package" || return 1
    done
}

# The board's root file system: the same package of camfw, with the board's configuration, on a kernel with its
# drivers. Not its card: wic's sources and the firmware cannot be had.
part_board() {
    local log=$build/board.log deploy=$build/board/tmp/deploy package root_file
    mkdir -p "$build/variants"
    [ -e "$build/variants/id" ] || ssh-keygen -q -t ed25519 -N "" -f "$build/variants/id" || return 1
    image_folder
    image_bitbake -c package_write_deb camfw >"$log" 2>&1 || { ending "$log"; return 1; }
    image_folder board "$freescale"
    cat >>"$build/board/conf/local.conf" <<EOF
MACHINE = "${machines[1]}"
SSTATE_DIR = "$image_build/sstate-cache"
# Which hashes stand for the same output is known to the folder that made it: without that, sstate has camfw under others.
BB_HASHSERVE_DB_DIR = "$image_build/cache"
BBMASK += "$freescale/recipes- $freescale/dynamic-layers/ $layer/dynamic-layers/freescale-layer/recipes-kernel/"
require conf/standins-board.conf
EOF
    # What sstate gives asks for no other task (meta-standins/classes), and the first that runs under pseudo needs it.
    PATH=$image_build/host/bin:$PATH in_folder board bitbake -c populate_sysroot pseudo-native >"$log" 2>&1 || { ending "$log"; return 1; }
    PATH=$image_build/host/bin:$PATH in_folder board bitbake -k camfw-image-keys >"$log" 2>&1 || { ending "$log"; return 1; }
    quiet_about_us "$log" || return 1
    say "$(grep -o 'Attempted [0-9]* tasks.*' "$log" | tail -n 1)"
    for package in "$image_build"/tmp/deploy/deb/aarch64/camfw_*.deb; do
        (cd "$image_build/tmp/deploy/deb" && sha256sum aarch64/camfw_*.deb)
        cmp "$package" "$deploy/deb/aarch64/${package##*/}" || return 1
    done
    ! grep -q 'recipe camfw-[0-9].*do_compile: Started' "$log" || { say "camfw was built anew for the board"; return 1; }
    root_file=$deploy/images/${machines[1]}/camfw-image-keys-${machines[1]}.rootfs.tar.zst
    tar --zstd -xOf "$root_file" ./etc/camfw/camfw.toml |
        cmp - "$layer/dynamic-layers/freescale-layer/recipes-fw/camfw/files/ls1046afrwy.toml" || return 1
    tar --zstd -xOf "$root_file" ./usr/sbin/camfw | sha256sum
    diff -u "$parts_of_image/setuid" <(tar --zstd -tvf "$root_file" | sed -nE '/^-(..s|.....s)/s,.* \./,/,p' | LC_ALL=C sort) || return 1
    (cd "${root_file%/*}" && stat -L -c '%s %n' "${root_file##*/}" Image ./*.dtb)
}

# image_contents IMAGE: exactly the packages of its list, of iptables' extensions those that camfw names, and what they weigh.
image_contents() {
    local files=$image_deploy/$1-qemuarm64.rootfs listed=$parts_of_image/manifest extension='iptables-module-[a-z0-9-]*'
    [ "$1" = camfw-image ] || listed=$parts_of_image/manifest-${1#camfw-image-}
    say "$1: $(wc -l <"$files.manifest") packages"
    diff -u <(grep -o "$extension" "$layer"/recipes-fw/camfw/camfw_*.bb | sort -u) \
        <(grep -o "^$extension" "$files.manifest" | sort -u) || return 1
    if [ ! -e "$listed" ]; then
        say "no $listed to compare with: write it, after a look, of the first words of $files.manifest, sorted"
        return 1
    fi
    diff -u "$listed" <(cut -d ' ' -f 1 "$files.manifest" | LC_ALL=C sort) || return 1
    diff -u "$parts_of_image/setuid" <(tar --zstd -tv <"$files.tar.zst" |
        sed -nE '/^-(..s|.....s)/s,.* \./,/,p' | LC_ALL=C sort) || return 1
    # The bill of materials has each of them, and each crate.
    /usr/bin/python3 "$root/tests/yocto.d/bill.py" "$files.spdx.json" \
        "$layer/recipes-fw/camfw/camfw-crates.inc" "$files.manifest" || return 1
    (cd "$image_deploy" && stat -L -c '%s %n' Image "$1"-qemuarm64.rootfs.{ext4,tar.zst,spdx.json})
    stat -c '%s %n' "$image_build"/tmp/deploy/deb/*/camfw{,-conf,-ftp,-mail,-page,-vsftpd}_*.deb
    say "$1: root file system: $(zstd -dc <"$files.tar.zst" | tar -tv |
        awk '{ sum += $3 } END { print sum }') bytes; build folder: $(du -sm "$build" 2>/dev/null | cut -f 1) MB"
}

# The command of README.md and of the kas file, word for word.
part_runqemu() {
    local command
    command=$(sed -n "s/^ .*-c '\(runqemu [^']*\)'.*/\1/p" "$layer/README.md")
    grep -qF "$command" "$layer/kas/camfw-qemuarm64.yml" || { say "README.md and kas differ about: $command"; return 1; }
    image_folder
    say "$command"
    # shellcheck disable=SC2086 # words, as in a command line
    in_image env MACHINE=qemuarm64 /usr/bin/python3 "$parts_of_image/runqemu.py" "$parts_of_image/setuid" "$root/tests/golden" $command
}

part_testimage() {
    local log image
    image_folder
    for image in "${images[@]}"; do
        log=$build/testimage${image#camfw-image}.log
        image_bitbake -c testimage "$image" >"$log" 2>&1 || { grep -E 'RESULTS|FAIL|Error' "$log" | tail -n 40; return 1; }
        grep -oE 'RESULTS - .*' "$log"
        # A test that was skipped was not run.
        ! grep -qE 'RESULTS - .*(SKIPPED|FAILED|ERROR)' "$log" && grep -qE 'RESULTS - camfw.*PASSED' "$log" || return 1
    done
}

# Images that are not camfw-image as it is: built from what the part image left, each booted.
part_variants() {
    local log=$build/variants.log scratch=$build/variants name distro failed=0
    mkdir -p "$scratch"
    [ -e "$scratch/id" ] || ssh-keygen -q -t ed25519 -N "" -f "$scratch/id" || return 1
    image_folder
    for name in keys:camfw-image-keys readonly:camfw-image-readonly own-distro:router-image; do
        distro=camfw-router
        [ "$name" != own-distro:router-image ] || distro=integrator
        if ! DISTRO=$distro image_bitbake "${name#*:}" >"$log" 2>&1 || ! quiet_about_us "$log"; then
            ending "$log"
            return 1
        fi
        say "${name%:*}: $(grep -o 'Attempted [0-9]* tasks.*' "$log" | tail -n 1)"
        in_image env MACHINE=qemuarm64 DISTRO="$distro" /usr/bin/python3 "$parts_of_image/variants.py" "${name%:*}" "$image_deploy" "$scratch" ||
            failed=1
    done
    return "$failed"
}
