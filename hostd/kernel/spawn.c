/* spawn(): one clone3 with all namespaces, and the child's way from there to execve (child.c).  start(): the same for a
 * program of the host's that only has to be born in a container's cgroups.
 *
 * The child shares our memory until it execs (nothing is copied, whatever the size of the daemon) and runs beside us,
 * because we write its id maps while it waits at a gate. */
#include "child.h"
#include "clone.h"
#include "shim.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

static int refuse(struct vz_plan *plan, int step, int error)
{
    plan->step = step;
    plan->error = error;
    return -1;
}

/* The byte is what lets the child go on; a closed gate ends it.  Answers the step that failed, or 0. */
static int open_gate(const struct vz_plan *plan, long pid, int *error)
{
    *error = -vz_write_map(pid, "uid_map", plan->uid_base, plan->id_count);
    if (*error)
        return VZ_STEP_UID_MAP;
    *error = -vz_write_map(pid, "gid_map", plan->uid_base, plan->id_count);
    if (*error)
        return VZ_STEP_GID_MAP;
    if (write(plan->gate_writer, "", 1) == 1)
        return 0;
    *error = errno;
    return VZ_STEP_GATE;
}

/* From the clone until the child has left our memory the plan is the child's to write: what the parent finds out
 * stays in variables, and counts only when the child had nothing to say (it may have failed before us). */
static int begin(struct vz_plan *plan, void (*child)(void *), void *stack)
{
    int exit_signal = plan->flags & CLONE_PARENT ? 0 : SIGCHLD;
    int step = 0, error = 0;
    long pid = vz_clone(plan->flags, exit_signal, plan->into, stack, child, plan, &plan->pidfd, &plan->alive);
    if (pid > 0 && plan->gate >= 0)
        step = open_gate(plan, pid, &error);
    if (plan->gate >= 0)
        close(plan->gate_writer);
    if (pid < 0)
        return refuse(plan, VZ_STEP_CLONE, -pid);
    vz_wait_gone(&plan->alive);
    if (!plan->error && !step)
        return pid;
    if (!plan->error)
        refuse(plan, step, error);
    if (!(plan->flags & CLONE_PARENT))
        vz_reap(plan->pidfd);
    close(plan->pidfd);
    plan->pidfd = -1;
    return -1;
}

static int make_gate(struct vz_plan *plan)
{
    int ends[2];
    plan->gate = plan->gate_writer = -1;
    if (!(plan->flags & CLONE_NEWUSER))
        return 0;
    if (pipe2(ends, O_CLOEXEC) < 0)
        return refuse(plan, VZ_STEP_GATE, errno);
    plan->gate = ends[0];
    plan->gate_writer = ends[1];
    return 0;
}

static int run(struct vz_plan *plan, void (*child)(void *))
{
    sigset_t saved;
    int pid = -1;

    plan->pidfd = -1;
    plan->step = plan->index = plan->error = 0;
    void *stack = vz_stack_new();
    if (!stack)
        return refuse(plan, VZ_STEP_STACK, errno);
    vz_gate_lock();
    if (make_gate(plan) == 0) {
        vz_signals_block(&saved);
        pid = begin(plan, child, stack);
        vz_dumpable_restore();
        vz_signals_restore(&saved);
    }
    vz_gate_unlock();
    if (plan->gate >= 0)
        close(plan->gate);
    vz_stack_free(stack);
    return pid;
}

int vz_spawn(struct vz_plan *plan)
{
    return run(plan, vz_child);
}

int vz_start(struct vz_plan *plan)
{
    return run(plan, vz_program);
}
