# Runs a command with a folder as its root, in mount and process namespaces of its own: all mounts and processes are
# gone with it. The root is changed as a container's is, not by chroot, so that containers can start in there.
# Its words: the root, the toolchain, the user's id, the command.
set -eu
root=$1 toolchain=$2 user=$3
shift 3
mount --bind "$root" "$root"
mount -t proc proc "$root/proc"
mount --rbind /sys "$root/sys"
mount --rbind /dev "$root/dev"
# The workspace may lie below /tmp.
[ -n "$(ls -A "$root/tmp")" ] || mount -t tmpfs tmpfs "$root/tmp"
chmod 1777 "$root/tmp"
mkdir -p "$root/usr/local/toolchain" "$root/etc/ssl/certs" "$root/.old"
mount --bind -o ro "$toolchain" "$root/usr/local/toolchain"
cp /etc/resolv.conf /etc/hosts "$root/etc/"
certificates=${SSL_CERT_FILE:-/etc/ssl/certs/ca-certificates.crt}
if [ -e "$certificates" ]; then
    cp "$certificates" "$root/etc/ssl/certs/ca-certificates.crt"
fi
cd "$root"
pivot_root . .old
umount -l .old
rmdir .old
for name in http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY; do
    eval "value=\${$name-}"
    [ -z "$value" ] || set -- "$name=$value" "$@"
done
if [ "$user" != 0 ]; then
    mkdir -p "/home/$user"
    chown "$user:$user" "/home/$user"
    set -- "HOME=/home/$user" setpriv --reuid="$user" --regid="$user" --clear-groups "$@"
fi
exec env -i HOME=/root TERM=dumb SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt \
    PATH=/usr/local/toolchain/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin "$@"
