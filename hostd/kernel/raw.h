/* System calls without libc, for a child that shares our memory.
 *
 * Such a child runs on the thread descriptor of the thread that made it: errno, malloc, the lazy binding of
 * libraries and cancellation all live there and belong to somebody who keeps running.  So: inlined calls, results as
 * -errno, nothing else. */
#ifndef VZ_RAW_H
#define VZ_RAW_H

#define _GNU_SOURCE
#include <linux/sched.h>
#include <stdint.h>
#include <sys/syscall.h>

#if defined(__x86_64__)

static inline long raw(long number, long a, long b, long c, long d, long e)
{
    long result;
    register long r10 __asm__("r10") = d;
    register long r8 __asm__("r8") = e;
    __asm__ volatile("syscall"
                     : "=a"(result) : "0"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8)
                     : "rcx", "r11", "memory");
    return result;
}

/* clone3 onto a new stack: the child calls `child(argument)`, which never returns; the parent gets the pid. */
static inline long raw_clone(struct clone_args *args, void (*child)(void *), void *argument)
{
    long result;
    register void *r12 __asm__("r12") = (void *)child;
    register void *r13 __asm__("r13") = argument;
    __asm__ volatile("syscall\n\t"
                     "test %%rax, %%rax\n\t"
                     "jnz 1f\n\t"
                     "xor %%ebp, %%ebp\n\t"
                     "mov %[argument], %%rdi\n\t"
                     "call *%[child]\n\t"
                     "hlt\n"
                     "1:"
                     : "=a"(result)
                     : "0"((long)SYS_clone3), "D"(args), "S"(sizeof *args),
                       [child] "r"(r12), [argument] "r"(r13)
                     : "rcx", "r11", "memory", "cc");
    return result;
}

#elif defined(__aarch64__)

static inline long raw(long number, long a, long b, long c, long d, long e)
{
    register long x8 __asm__("x8") = number;
    register long x0 __asm__("x0") = a;
    register long x1 __asm__("x1") = b;
    register long x2 __asm__("x2") = c;
    register long x3 __asm__("x3") = d;
    register long x4 __asm__("x4") = e;
    __asm__ volatile("svc #0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4) : "memory", "cc");
    return x0;
}

static inline long raw_clone(struct clone_args *args, void (*child)(void *), void *argument)
{
    register long x8 __asm__("x8") = SYS_clone3;
    register long x0 __asm__("x0") = (long)args;
    register long x1 __asm__("x1") = sizeof *args;
    register void *x20 __asm__("x20") = (void *)child;
    register void *x21 __asm__("x21") = argument;
    __asm__ volatile("svc #0\n\t"
                     "cbnz x0, 1f\n\t"
                     "mov x29, xzr\n\t"
                     "mov x0, %[argument]\n\t"
                     "blr %[child]\n\t"
                     "brk #0\n"
                     "1:"
                     : "+r"(x0) : "r"(x8), "r"(x1), [child] "r"(x20), [argument] "r"(x21)
                     : "memory", "cc");
    return x0;
}

#elif defined(__arm__)

/* r7 carries the number, and is the frame pointer of Thumb code: saved by hand. */
static inline long raw(long number, long a, long b, long c, long d, long e)
{
    register long r6 __asm__("r6") = number;
    register long r0 __asm__("r0") = a;
    register long r1 __asm__("r1") = b;
    register long r2 __asm__("r2") = c;
    register long r3 __asm__("r3") = d;
    register long r4 __asm__("r4") = e;
    __asm__ volatile("push {r7}\n\t"
                     "mov r7, r6\n\t"
                     "svc #0\n\t"
                     "pop {r7}"
                     : "+r"(r0) : "r"(r6), "r"(r1), "r"(r2), "r"(r3), "r"(r4) : "memory", "cc");
    return r0;
}

static inline long raw_clone(struct clone_args *args, void (*child)(void *), void *argument)
{
    register long r0 __asm__("r0") = (long)args;
    register long r1 __asm__("r1") = sizeof *args;
    register long r4 __asm__("r4") = SYS_clone3;
    register void *r5 __asm__("r5") = (void *)child;
    register void *r6 __asm__("r6") = argument;
    __asm__ volatile("push {r7}\n\t"
                     "mov r7, r4\n\t"
                     "svc #0\n\t"
                     "cmp r0, #0\n\t"
                     "bne 1f\n\t"
                     "mov r0, r6\n\t"
                     "blx r5\n\t"
                     "udf #0\n"
                     "1:\n\t"
                     "pop {r7}"
                     : "+r"(r0) : "r"(r1), "r"(r4), "r"(r5), "r"(r6) : "memory", "cc");
    return r0;
}

#else
#error "spawn: no raw system calls for this processor (x86-64, aarch64 and armv7 have them)"
#endif

#define RAW5(n, a, b, c, d, e) raw((n), (long)(a), (long)(b), (long)(c), (long)(d), (long)(e))
#define RAW4(n, a, b, c, d) RAW5(n, a, b, c, d, 0)
#define RAW3(n, a, b, c) RAW5(n, a, b, c, 0, 0)
#define RAW2(n, a, b) RAW5(n, a, b, 0, 0, 0)
#define RAW1(n, a) RAW5(n, a, 0, 0, 0, 0)
#define RAW0(n) RAW5(n, 0, 0, 0, 0, 0)

/* 32-bit ARM kept the old calls with 16-bit ids under the plain names. */
#ifdef SYS_setresuid32
#define RAW_SETRESUID SYS_setresuid32
#define RAW_SETRESGID SYS_setresgid32
#define RAW_SETGROUPS SYS_setgroups32
#else
#define RAW_SETRESUID SYS_setresuid
#define RAW_SETRESGID SYS_setresgid
#define RAW_SETGROUPS SYS_setgroups
#endif

static inline __attribute__((noreturn)) void raw_exit(int status)
{
    for (;;)
        RAW1(SYS_exit_group, status);
}

#endif
