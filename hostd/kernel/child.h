/* What a spawn's child does, for the parent to start it with (vz_clone).  *plan* is a struct vz_plan in the memory that
 * both share: `.step`, `.index` and `.error` say what failed. */
#ifndef VZ_CHILD_H
#define VZ_CHILD_H

__attribute__((noreturn)) void vz_child(void *plan);    /* PID 1 of a container */
__attribute__((noreturn)) void vz_program(void *plan);  /* a program of the host's in a container's cgroups */

#endif
