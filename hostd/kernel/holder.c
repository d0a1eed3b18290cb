/* Short-lived children that stand in a namespace for us: no thread of the daemon ever changes its own. */
#include "clone.h"
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- a new user namespace: the child holds it until the gate closes, we open it through /proc ---------------------- */

struct holder { int gate, gate_writer; };

static void hold(void *argument)
{
    struct holder *holder = argument;
    char byte;
    RAW1(SYS_close, holder->gate_writer);
    RAW3(SYS_read, holder->gate, &byte, 1);
    raw_exit(0);
}

static int mapped_namespace(long pid, uint32_t base, uint32_t count, int *step)
{
    char path[64];
    int error, fd;
    *step = VZ_STEP_UID_MAP;
    if ((error = vz_write_map(pid, "uid_map", base, count)) < 0)
        return error;
    *step = VZ_STEP_GID_MAP;
    if ((error = vz_write_map(pid, "gid_map", base, count)) < 0)
        return error;
    *step = VZ_STEP_NONE;
    snprintf(path, sizeof path, "/proc/%ld/ns/user", pid);
    fd = open(path, O_RDONLY | O_CLOEXEC);
    return fd < 0 ? -errno : fd;
}

/* Clone, use(pid), let go, reap. */
static int held_namespace(uint32_t base, uint32_t count, int *step, void *stack)
{
    struct holder holder;
    int ends[2], pidfd, alive, result;

    *step = VZ_STEP_GATE;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return -errno;
    holder.gate = ends[0];
    holder.gate_writer = ends[1];
    *step = VZ_STEP_CLONE;
    long pid = vz_clone(CLONE_NEWUSER, 0, -1, stack, hold, &holder, &pidfd, &alive);
    result = pid < 0 ? pid : mapped_namespace(pid, base, count, step);
    close(ends[1]);
    if (pid > 0) {
        vz_wait_gone(&alive);
        vz_reap(pidfd);
        close(pidfd);
    }
    close(ends[0]);
    return result;
}

int vz_new_userns(uint32_t base, uint32_t count, int *step)
{
    sigset_t saved;
    *step = VZ_STEP_STACK;
    void *stack = vz_stack_new();
    if (!stack)
        return -errno;
    vz_signals_block(&saved);
    vz_gate_lock();
    int result = held_namespace(base, count, step, stack);
    vz_gate_unlock();
    vz_signals_restore(&saved);
    vz_stack_free(stack);
    return result;
}

/* ---- a child that does one thing and ends ---------------------------------------------------------------------- */

static int run_once(uint64_t flags, int cgroup, void (*child)(void *), void *argument)
{
    sigset_t saved;
    int pidfd, alive;

    void *stack = vz_stack_new();
    if (!stack)
        return -errno;
    vz_signals_block(&saved);
    long pid = vz_clone(flags, 0, cgroup, stack, child, argument, &pidfd, &alive);
    if (pid > 0) {
        vz_wait_gone(&alive);
        vz_reap(pidfd);
        close(pidfd);
    }
    vz_signals_restore(&saved);
    vz_stack_free(stack);
    return pid < 0 ? pid : 0;
}

struct order { int netns, family, type, protocol, result; };

static void fetch_socket(void *argument)
{
    struct order *order = argument;
    order->result = RAW2(SYS_setns, order->netns, CLONE_NEWNET);
    if (order->result == 0)
        order->result = RAW3(SYS_socket, order->family, order->type | SOCK_CLOEXEC, order->protocol);
    raw_exit(0);
}

/* The child shares our descriptors: the socket it opens there is ours. */
int vz_socket_in_netns(int netns, int family, int type, int protocol)
{
    struct order order = { netns, family, type, protocol, -ESRCH };
    int result = run_once(CLONE_FILES, -1, fetch_socket, &order);
    return result < 0 ? result : order.result;
}

struct message { int ipcns; uint32_t root; const char *path, *text; unsigned int length; int result; };

static int write_text(const struct message *message)
{
    int fd = RAW4(SYS_openat, AT_FDCWD, message->path, O_WRONLY | O_CLOEXEC, 0);
    if (fd < 0)
        return fd;
    int result = RAW3(SYS_write, fd, message->text, message->length);
    RAW1(SYS_close, fd);
    return result < 0 ? result : 0;
}

/* Up to Linux 6.10 the files belong to the host's root, since then to that of the namespace, and to nobody else. */
static void tell(void *argument)
{
    struct message *message = argument;
    message->result = RAW2(SYS_setns, message->ipcns, CLONE_NEWIPC);
    if (message->result == 0)
        message->result = write_text(message);
    if (message->result == -EACCES || message->result == -EPERM) {
        message->result = RAW3(RAW_SETRESUID, message->root, message->root, message->root);
        if (message->result == 0)
            message->result = write_text(message);
    }
    raw_exit(0);
}

/* The kernel looks at who writes, not at who opened: so it is done there. */
int vz_write_in_ipcns(int ipcns, uint32_t root, const char *path, const char *text, unsigned int length)
{
    struct message message = { ipcns, root, path, text, length, -ESRCH };
    int result = run_once(0, -1, tell, &message);
    vz_dumpable_restore();
    return result < 0 ? result : message.result;
}

static void nothing(void *argument)
{
    (void)argument;
    raw_exit(0);
}

int vz_into_cgroup(int cgroup)
{
    return run_once(0, cgroup, nothing, NULL);
}
