/* The parent's side of a child in shared memory: stack, signals, end, id maps. */
#include "clone.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef P_PIDFD
#define P_PIDFD 3
#endif

void *vz_stack_new(void)
{
    void *stack = mmap(NULL, VZ_STACK_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK, -1, 0);
    return stack == MAP_FAILED ? NULL : stack;
}

void vz_stack_free(void *stack)
{
    munmap(stack, VZ_STACK_SIZE);
}

long vz_clone(uint64_t flags, int exit_signal, int cgroup, void *stack, void (*child)(void *), void *argument,
              int *pidfd, int *alive)
{
    struct clone_args args = {
        .flags = flags | CLONE_VM | CLONE_PIDFD | CLONE_CHILD_CLEARTID,
        .pidfd = (uintptr_t)pidfd,
        .child_tid = (uintptr_t)alive,
        .exit_signal = exit_signal,
        .stack = (uintptr_t)stack,
        .stack_size = VZ_STACK_SIZE,
    };
    if (cgroup >= 0) {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup;
    }
    *alive = 1;
    return raw_clone(&args, child, argument);
}

/* A futex and not a pipe: a pipe's end would be inherited by whatever another thread forks at this moment. */
void vz_wait_gone(int *alive)
{
    while (__atomic_load_n(alive, __ATOMIC_ACQUIRE))
        syscall(SYS_futex, alive, FUTEX_WAIT, 1, NULL, NULL, 0);
}

void vz_reap(int pidfd)
{
    siginfo_t info;
    while (waitid((idtype_t)P_PIDFD, pidfd, &info, WEXITED | __WALL) < 0 && errno == EINTR)
        ;
}

static pthread_mutex_t gate = PTHREAD_MUTEX_INITIALIZER;

void vz_gate_lock(void)
{
    pthread_mutex_lock(&gate);
}

void vz_gate_unlock(void)
{
    pthread_mutex_unlock(&gate);
}

/* The child starts with this mask, so that no handler of ours can run in it. */
void vz_signals_block(sigset_t *saved)
{
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, saved);
}

void vz_signals_restore(const sigset_t *saved)
{
    pthread_sigmask(SIG_SETMASK, saved, NULL);
}

/* A change of ids makes the memory of the task "not dumpable"; the child's memory is ours, so its setresuid() (and
 * our own setfsuid()) would cost this process its core dumps and hand its /proc files to root for good. */
static int born_dumpable = 1;

__attribute__((constructor)) static void note_dumpable(void)
{
    born_dumpable = prctl(PR_GET_DUMPABLE);
}

void vz_dumpable_restore(void)
{
    if (born_dumpable == 1 && prctl(PR_GET_DUMPABLE) != 1)
        prctl(PR_SET_DUMPABLE, 1);
}

int vz_write_map(long pid, const char *file, uint32_t base, uint32_t count)
{
    char path[64], map[64];
    int length, fd, result = 0;

    snprintf(path, sizeof path, "/proc/%ld/%s", pid, file);
    length = snprintf(map, sizeof map, "0 %u %u\n", base, count);
    fd = open(path, O_WRONLY | O_CLOEXEC);
    if (fd < 0)
        return -errno;
    if (write(fd, map, length) != length)
        result = -errno;
    close(fd);
    return result;
}
