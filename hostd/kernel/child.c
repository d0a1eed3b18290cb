/* The child of a spawn: its way from clone3 to execve.
 *
 * It shares the memory of the daemon until it execs and runs beside it.  So this file uses raw.h only, and what it calls
 * is in it: the object has no undefined symbol (tests/unit/test_kernel_child.py). */
#include "child.h"
#include "raw.h"
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/ioprio.h>
#include <linux/keyctl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>

#define CLONE_NEWTIME 0x00000080
#define MNT_DETACH 2
#define SIGNALS 64
#define KERNEL_SIGSET_SIZE 8

static __attribute__((noreturn)) void fail(struct vz_plan *plan, int step, int index, long error)
{
    plan->step = step;
    plan->index = index;
    plan->error = (int)-error;
    raw_exit(127);
}

#define TRY(step, index, call)                          \
    ({                                                  \
        long result_ = (call);                          \
        if (result_ < 0)                                \
            fail(plan, VZ_STEP_##step, index, result_); \
        result_;                                        \
    })

static int length_of(const char *text)
{
    int length = 0;
    while (text[length])
        length++;
    return length;
}

/* "0" to "tasks" by a process of one thread: the kernel then skips the lock that costs an RCU grace period (11 ms). */
static void join_cgroups(struct vz_plan *plan)
{
    for (int i = 0; i < plan->join_count; i++)
        TRY(JOIN, i, RAW3(SYS_write, plan->join[i], "0", 1));
}

/* Our copy of the writing end goes first: when the daemon dies now, the gate must read EOF. */
static void wait_for_maps(struct vz_plan *plan)
{
    char byte;
    RAW1(SYS_close, plan->gate_writer);
    if (RAW3(SYS_read, plan->gate, &byte, 1) != 1)
        raw_exit(127);
}

/* The namespace is entered by execve (Linux 6.2).  Its clocks are set before we are somebody else, because the file is
 * that of who made the process; the /proc is the stage's. */
static void set_clocks(struct vz_plan *plan)
{
    if (!plan->clocks)
        return;
    TRY(TIME_NS, 0, RAW1(SYS_unshare, CLONE_NEWTIME));
    int file = TRY(CLOCKS, 0, RAW4(SYS_openat, AT_FDCWD, "/proc/self/timens_offsets", O_WRONLY | O_CLOEXEC, 0));
    TRY(CLOCKS, 0, RAW3(SYS_write, file, plan->clocks, length_of(plan->clocks)));
    RAW1(SYS_close, file);
}

static void become_root(struct vz_plan *plan)
{
    TRY(SETGID, 0, RAW3(RAW_SETRESGID, 0, 0, 0));
    TRY(SETUID, 0, RAW3(RAW_SETRESUID, 0, 0, 0));
    TRY(SETGROUPS, 0, RAW2(RAW_SETGROUPS, 0, 0));
}

/* -1: the target is missing and may be. */
static int open_target(struct vz_plan *plan, int index, const char *target, int optional)
{
    struct open_how how = {
        .flags = O_PATH | O_CLOEXEC,
        .resolve = RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS,
    };
    long fd = RAW4(SYS_openat2, plan->root, target, &how, sizeof how);
    if (fd == -ENOENT && optional)
        return -1;
    return TRY(TARGET, index, fd);
}

static void attach(struct vz_plan *plan, int index, int made, int target)
{
    int flags = MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH;
    TRY(ATTACH, index, RAW5(SYS_move_mount, made, "", target, "", flags));
}

static int new_filesystem(struct vz_plan *plan, int index)
{
    const struct vz_mount *mount = &plan->mounts[index];
    int fs = TRY(FSOPEN, index, RAW2(SYS_fsopen, mount->fstype, FSOPEN_CLOEXEC));
    for (const char **option = mount->options; option[0]; option += 2) {
        int command = option[1] ? FSCONFIG_SET_STRING : FSCONFIG_SET_FLAG;
        TRY(FSCONFIG, index, RAW5(SYS_fsconfig, fs, command, option[0], option[1], 0));
    }
    TRY(CREATE, index, RAW5(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0));
    int made = TRY(FSMOUNT, index, RAW3(SYS_fsmount, fs, FSMOUNT_CLOEXEC, mount->set));
    RAW1(SYS_close, fs);
    return made;
}

static int bind(struct vz_plan *plan, int index, int source)
{
    const struct vz_mount *mount = &plan->mounts[index];
    struct mount_attr attributes = { .attr_set = mount->set, .attr_clr = mount->clear };
    int flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH;
    int made = TRY(BIND, index, RAW3(SYS_open_tree, source, "", flags));
    TRY(SETATTR, index, RAW5(SYS_mount_setattr, made, "", AT_EMPTY_PATH, &attributes, sizeof attributes));
    return made;
}

/* A detached mount cannot be copied from before Linux 6.15: for a moment it lies over the root. */
static int bind_file(struct vz_plan *plan, int index)
{
    const struct vz_mount *mount = &plan->mounts[index];
    attach(plan, index, mount->fd, plan->root);
    int file = TRY(TARGET, index, RAW4(SYS_openat, mount->fd, mount->file, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0));
    int made = bind(plan, index, file);
    TRY(LET_GO, index, RAW1(SYS_fchdir, mount->fd));
    TRY(LET_GO, index, RAW2(SYS_umount2, ".", MNT_DETACH));
    TRY(LET_GO, index, RAW1(SYS_fchdir, plan->root));
    RAW1(SYS_close, file);
    RAW1(SYS_close, mount->fd);
    return made;
}

/* Attach *made* over *target*, and what was there inside of it. */
static void cover(struct vz_plan *plan, int index, int made, int target)
{
    int covered = bind(plan, index, target);
    attach(plan, index, made, target);
    int place = open_target(plan, index, plan->mounts[index].kept, 0);
    attach(plan, index, covered, place);
    RAW1(SYS_close, covered);
    RAW1(SYS_close, place);
}

static void make_mount(struct vz_plan *plan, int index)
{
    const struct vz_mount *mount = &plan->mounts[index];
    int target = open_target(plan, index, mount->target, mount->optional);
    int made;
    if (target < 0)
        return;
    if (mount->fd >= 0)
        made = mount->file ? bind_file(plan, index) : mount->fd;
    else if (mount->fstype)
        made = new_filesystem(plan, index);
    else
        made = bind(plan, index, target);
    if (mount->kept)
        cover(plan, index, made, target);
    else
        attach(plan, index, made, target);
    RAW1(SYS_close, made);
    RAW1(SYS_close, target);
}

/* The mounts come before the pivot: a fresh proc or sysfs is allowed only while a fully visible one of the old root
 * is still in this namespace. */
static void enter_root(struct vz_plan *plan)
{
    TRY(PRIVATE, 0, RAW5(SYS_mount, 0, "/", 0, MS_REC | MS_PRIVATE, 0));
    TRY(ROOT, 0, RAW5(SYS_move_mount, plan->root, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH));
    TRY(CHDIR, 0, RAW1(SYS_fchdir, plan->root));
    for (int i = 0; i < plan->mount_count; i++)
        make_mount(plan, i);
    TRY(PIVOT, 0, RAW2(SYS_pivot_root, ".", "."));
    TRY(DETACH, 0, RAW2(SYS_umount2, ".", MNT_DETACH));
    TRY(CHDIR, 0, RAW1(SYS_chdir, "/"));
}

/* Sources first move above every target, so that no dup3 can hit one that is still needed. */
static void place_fds(struct vz_plan *plan)
{
    int last = plan->fd_count ? plan->fds[plan->fd_count - 1].to : 2;
    if (last < 2)
        last = 2;
    int null = TRY(NULL, 0, RAW4(SYS_openat, AT_FDCWD, "/dev/null", O_RDWR | O_NOFOLLOW | O_CLOEXEC, 0));
    null = TRY(MOVE_FD, -1, RAW3(SYS_fcntl, null, F_DUPFD_CLOEXEC, last + 1));
    for (int i = 0; i < plan->fd_count; i++)
        plan->fds[i].from = TRY(MOVE_FD, i, RAW3(SYS_fcntl, plan->fds[i].from, F_DUPFD_CLOEXEC, last + 1));
    for (int fd = 0; fd < 3; fd++)
        TRY(PLACE_FD, -1, RAW3(SYS_dup3, null, fd, 0));
    int next = 3;
    for (int i = 0; i < plan->fd_count; i++) {
        int to = plan->fds[i].to;
        TRY(PLACE_FD, i, RAW3(SYS_dup3, plan->fds[i].from, to, 0));
        if (to > next)
            TRY(CLOSE, i, RAW3(SYS_close_range, next, to - 1, 0));
        if (to >= next)
            next = to + 1;
    }
    TRY(CLOSE, -1, RAW3(SYS_close_range, next, ~0U, 0));
}

static void drop_bounding(struct vz_plan *plan)
{
    for (int i = 0; i < plan->drop_count; i++)
        TRY(BOUNDING, i, RAW5(SYS_prctl, PR_CAPBSET_DROP, plan->drop[i], 0, 0, 0));
}

static void drop_held(struct vz_plan *plan)
{
    struct __user_cap_header_struct header = { .version = _LINUX_CAPABILITY_VERSION_3 };
    struct __user_cap_data_struct sets[2];
    TRY(CAPS, 0, RAW2(SYS_capget, &header, sets));
    for (int i = 0; i < plan->drop_count; i++) {
        uint32_t keep = ~(1U << (plan->drop[i] % 32));
        struct __user_cap_data_struct *set = &sets[plan->drop[i] / 32];
        set->effective &= keep;
        set->permitted &= keep;
        set->inheritable &= keep;
    }
    TRY(CAPS, 0, RAW2(SYS_capset, &header, sets));
}

/* Before the capabilities go: without no_new_privs a filter asks for CAP_SYS_ADMIN in the own user namespace. */
static void confine(struct vz_plan *plan)
{
    drop_bounding(plan);
    if (plan->filter_length) {
        struct sock_fprog program = { .len = plan->filter_length, .filter = (struct sock_filter *)plan->filter };
        TRY(SECCOMP, 0, RAW3(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program));
    }
    drop_held(plan);
}

/* struct sigaction as the kernel has it; all zero is SIG_DFL.  KILL and STOP refuse, which is fine. */
static void default_signals(void)
{
    static const unsigned long action[8], mask[2];
    for (int number = 1; number <= SIGNALS; number++)
        RAW4(SYS_rt_sigaction, number, action, 0, KERNEL_SIGSET_SIZE);
    RAW4(SYS_rt_sigprocmask, SIG_SETMASK, mask, 0, KERNEL_SIGSET_SIZE);
}

/* What `ionice` and `setarch` did before the command that happened to start hostd.  0: PER_LINUX. */
static void leave_caller(void)
{
    RAW3(SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, 0);
    RAW1(SYS_personality, 0);
}

static void leave_host(struct vz_plan *plan)
{
    TRY(HOSTNAME, 0, RAW2(SYS_sethostname, plan->hostname, length_of(plan->hostname)));
    TRY(SETSID, 0, RAW0(SYS_setsid));
    RAW1(SYS_umask, 022);
    leave_caller();
    long keyring = RAW2(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, 0);
    if (keyring != -ENOSYS)
        TRY(KEYRING, 0, keyring);
}

void vz_child(void *argument)
{
    struct vz_plan *plan = argument;
    join_cgroups(plan);
    /* Only now: a cgroup namespace takes the cgroups of this moment for its roots. */
    TRY(CGROUP_NS, 0, RAW1(SYS_unshare, CLONE_NEWCGROUP));
    set_clocks(plan);
    if (plan->gate >= 0) {
        wait_for_maps(plan);
        become_root(plan);
    }
    enter_root(plan);
    leave_host(plan);
    place_fds(plan);
    confine(plan);
    default_signals();
    fail(plan, VZ_STEP_EXEC, 0, RAW3(SYS_execve, plan->argv[0], plan->argv, plan->env));
}

void vz_program(void *argument)
{
    struct vz_plan *plan = argument;
    join_cgroups(plan);
    TRY(SETSID, 0, RAW0(SYS_setsid));
    leave_caller(); /* CRIU is such a program, and keeps neither for what it restores */
    place_fds(plan);
    default_signals();
    fail(plan, VZ_STEP_EXEC, 0, RAW3(SYS_execve, plan->argv[0], plan->argv, plan->env));
}
