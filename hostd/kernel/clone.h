/* A child on a stack of its own in our memory, and the parent's side of its life. */
#ifndef VZ_CLONE_H
#define VZ_CLONE_H

#include "raw.h"
#include <signal.h>
#include <stddef.h>

#define VZ_STACK_SIZE (64 * 1024)

void *vz_stack_new(void);                 /* NULL and errno */
void vz_stack_free(void *stack);

/* clone3(flags | CLONE_VM | CLONE_PIDFD): the pid, or -errno.  When the child has exec'd or ended, the kernel zeroes
 * *alive and wakes vz_wait_gone(). */
long vz_clone(uint64_t flags, int exit_signal, int cgroup, void *stack, void (*child)(void *), void *argument,
              int *pidfd, int *alive);
void vz_wait_gone(int *alive);
void vz_reap(int pidfd);

/* Held while a child waits at a gate.  A second child would have a copy of the first one's writing end, and each would
 * wait for the other to close it once the daemon is killed. */
void vz_gate_lock(void);
void vz_gate_unlock(void);

void vz_signals_block(sigset_t *saved);
void vz_signals_restore(const sigset_t *saved);
void vz_dumpable_restore(void);

/* Write "0 base count" to /proc/PID/FILE: 0 or -errno. */
int vz_write_map(long pid, const char *file, uint32_t base, uint32_t count);

#endif
