/* The system calls that Python lacks, one function each; -errno on failure. */
#define _GNU_SOURCE
#include "clone.h"
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <malloc.h>
#include <sched.h>
#include <string.h>
#include <sys/fsuid.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

int umount2(const char *, int);

static int answer(long result)
{
    return result < 0 ? -errno : (int)result;
}

int vz_open_tree(int dir, const char *path, unsigned int flags)
{
    return answer(syscall(SYS_open_tree, dir, path, flags));
}

int vz_move_mount(int from, const char *from_path, int to, const char *to_path, unsigned int flags)
{
    return answer(syscall(SYS_move_mount, from, from_path, to, to_path, flags));
}

int vz_fsopen(const char *fstype)
{
    return answer(syscall(SYS_fsopen, fstype, FSOPEN_CLOEXEC));
}

int vz_fsconfig(int fs, unsigned int command, const char *key, const char *value, int aux)
{
    return answer(syscall(SYS_fsconfig, fs, command, key, value, aux));
}

int vz_fsmount(int fs, unsigned int attributes)
{
    return answer(syscall(SYS_fsmount, fs, FSMOUNT_CLOEXEC, attributes));
}

int vz_fspick(int mount)
{
    return answer(syscall(SYS_fspick, mount, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH));
}

int vz_mount_setattr(int mount, unsigned int flags, uint64_t set, uint64_t clear, uint64_t propagation, int userns)
{
    struct mount_attr attributes = { set, clear, propagation, userns < 0 ? 0 : userns };
    return answer(syscall(SYS_mount_setattr, mount, "", flags, &attributes, sizeof attributes));
}

int vz_umount(const char *target, int flags)
{
    return answer(umount2(target, flags));
}

int vz_is_mount_root(const char *path)
{
    struct statx found;
    if (statx(AT_FDCWD, path, AT_NO_AUTOMOUNT | AT_STATX_DONT_SYNC, 0, &found) < 0)
        return -errno;
    return !!(found.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

int64_t vz_fs_magic(int fd)
{
    struct statfs found;
    return fstatfs(fd, &found) < 0 ? -errno : (int64_t)found.f_type;
}

int vz_syncfs(int fd)
{
    return answer(syscall(SYS_syncfs, fd));
}

int vz_pivot_root(const char *new_root, const char *put_old)
{
    return answer(syscall(SYS_pivot_root, new_root, put_old));
}

int vz_openat2(int dir, const char *path, uint64_t flags, uint64_t mode, uint64_t resolve)
{
    struct open_how how = { flags, mode, resolve };
    return answer(syscall(SYS_openat2, dir, path, &how, sizeof how));
}

int vz_unshare(int flags)
{
    return answer(unshare(flags));
}

int vz_setns(int fd, int flags)
{
    return answer(setns(fd, flags));
}

/* Leaving fsuid 0 clears the file capabilities of the effective set; they are taken back from the permitted one. */
int vz_fsids(uint32_t uid, uint32_t gid)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[2];

    setfsgid(gid);
    setfsuid(uid);
    if ((uint32_t)setfsgid(-1) != gid || (uint32_t)setfsuid(-1) != uid)
        return -EPERM;
    vz_dumpable_restore();
    if (syscall(SYS_capget, &header, sets) < 0)
        return -errno;
    for (int i = 0; i < 2; i++)
        sets[i].effective = sets[i].permitted;
    return answer(syscall(SYS_capset, &header, sets));
}

void vz_one_arena(void)
{
#ifdef M_ARENA_MAX
    mallopt(M_ARENA_MAX, 1);
#endif
}

/* Asks for a filter without giving one: EFAULT says that the kernel has them, and nothing is installed. */
int vz_seccomp_probe(void)
{
    return answer(syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, NULL));
}

int vz_close_range(unsigned int first, unsigned int last)
{
    return answer(syscall(SYS_close_range, first, last, 0));
}

int vz_pidfd_getfd(int pidfd, int number)
{
    return answer(syscall(SYS_pidfd_getfd, pidfd, number, 0));
}

/*
 * getsockopt(2) of another process's socket, whatever it answers.  All of it here, as each part may take as long as that
 * process likes: who holds the socket's lock, lets it linger when we close it last, or has put a file of its own there.
 */
int vz_ask_socket(int pidfd, int number, int level)
{
    int value = 0, fd = vz_pidfd_getfd(pidfd, number);
    socklen_t size = sizeof value;

    if (fd < 0)
        return fd;
    getsockopt(fd, level, 0, &value, &size);
    close(fd);
    return 0;
}

int vz_open_by_handle(int mount, int type, const void *handle, unsigned int length)
{
    _Alignas(struct file_handle) char memory[sizeof(struct file_handle) + MAX_HANDLE_SZ];
    struct file_handle *whole = (struct file_handle *)memory;

    if (length > MAX_HANDLE_SZ)
        return -EINVAL;
    whole->handle_bytes = length;
    whole->handle_type = type;
    memcpy(whole->f_handle, handle, length);
    return answer(open_by_handle_at(mount, whole, O_PATH | O_CLOEXEC));
}
