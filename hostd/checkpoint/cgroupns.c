/* A library that `criu restore` is started with: it gives the restored PID 1 a cgroup namespace of its own.
 *
 * With --manage-cgroups=ignore CRIU leaves the restored tasks in the cgroup namespace it was started in, and that one
 * belongs to the host's user namespace: a guest could no longer mount cgroup2.  CRIU's root task calls
 * setgroups(0, NULL) once, right after it has entered the restored user namespace; a cgroup namespace made at that
 * instant belongs to the guest and is rooted where the task sits, in the container's cgroups.
 *
 * Linked against nothing (-nostdlib): the names below are found in whatever libc the process has, so one build loads
 * in the private criu's libc as well as in an older or newer one.
 */

#include <sys/syscall.h>

#define NEW_CGROUP_NAMESPACE 0x02000000 /* CLONE_NEWCGROUP of sched(7) */

#ifdef SYS_setgroups32
#define SET_GROUPS SYS_setgroups32 /* 32 bit ABIs: the plain one has 16 bit ids */
#else
#define SET_GROUPS SYS_setgroups
#endif

extern long syscall(long number, ...);

int setgroups(unsigned long count, const unsigned int *list)
{
    long result = syscall(SET_GROUPS, count, list);

    if (result == 0 && count == 0 && syscall(SYS_getpid) == 1)
        return syscall(SYS_unshare, NEW_CGROUP_NAMESPACE); /* failing here fails the restore: never half a guest */
    return result;
}
