/* A static program that stands for a whole distribution in tests: `payload COMMAND [ARG...] [COMMAND ...]`.
 *
 * Answers go to descriptor 3 as text; the commands of one line run one after the other, and the last one's end is the
 * end of the process.  A command that fails prints `error NAME ERRNO`. */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define OUT 3

static int complain(const char *name)
{
    dprintf(OUT, "error %s %d\n", name, errno);
    return 1;
}

static int stamp(char **args)
{
    struct timespec now;
    (void)args;
    clock_gettime(CLOCK_MONOTONIC, &now);
    dprintf(OUT, "stamp %lld\n", now.tv_sec * 1000000000LL + now.tv_nsec);
    return 0;
}

static int show_ids(char **args)
{
    struct utsname names;
    char cwd[4096] = "";
    mode_t mask = umask(0);
    (void)args;
    uname(&names);
    if (!getcwd(cwd, sizeof cwd))
        return complain("getcwd");
    dprintf(OUT, "pid %d uid %d gid %d sid %d groups %d host %s cwd %s umask %o\n", getpid(), getuid(), getgid(),
            getsid(0), getgroups(0, NULL), names.nodename, cwd, mask);
    return 0;
}

/* Every open descriptor but our own of the directory. */
static int show_fds(char **args)
{
    DIR *dir = opendir("/proc/self/fd");
    struct dirent *entry;
    char path[300], target[256];
    (void)args;
    if (!dir)
        return complain("fds");
    while ((entry = readdir(dir))) {
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == dirfd(dir))
            continue;
        snprintf(path, sizeof path, "/proc/self/fd/%s", entry->d_name);
        ssize_t length = readlink(path, target, sizeof target - 1);
        target[length < 0 ? 0 : length] = 0;
        dprintf(OUT, "fd %s %s\n", entry->d_name, target);
    }
    closedir(dir);
    return 0;
}

static int cat(char **args)
{
    char data[65536];
    ssize_t length;
    int fd = open(args[0], O_RDONLY);
    if (fd < 0)
        return complain(args[0]);
    while ((length = read(fd, data, sizeof data)) > 0)
        if (write(OUT, data, length) != length)
            return 1;
    close(fd);
    return length < 0 ? complain(args[0]) : 0;
}

static int list(char **args)
{
    DIR *dir = opendir(args[0]);
    struct dirent *entry;
    if (!dir)
        return complain(args[0]);
    while ((entry = readdir(dir)))
        if (entry->d_name[0] != '.')
            dprintf(OUT, "entry %s\n", entry->d_name);
    closedir(dir);
    return 0;
}

static int try_write(char **args)
{
    int fd = open(args[0], O_WRONLY);
    if (fd < 0)
        return complain(args[0]);
    ssize_t length = write(fd, args[1], strlen(args[1]));
    close(fd);
    if (length < 0)
        return complain(args[0]);
    dprintf(OUT, "written %s\n", args[0]);
    return 0;
}

static int create(char **args)
{
    int fd = open(args[0], O_WRONLY | O_CREAT | O_EXCL, 0644);
    if (fd < 0)
        return complain(args[0]);
    close(fd);
    dprintf(OUT, "created %s\n", args[0]);
    return 0;
}

static int open_device(char **args)
{
    int fd = open(args[0], O_RDWR);
    if (fd < 0)
        return complain(args[0]);
    close(fd);
    dprintf(OUT, "opened %s\n", args[0]);
    return 0;
}

static int try_socket(char **args)
{
    int fd = socket(atoi(args[0]), atoi(args[1]), atoi(args[2]));
    if (fd < 0)
        return complain("socket");
    close(fd);
    dprintf(OUT, "socket %s\n", args[0]);
    return 0;
}

/* syscall NUMBER: with zero arguments. */
static int try_syscall(char **args)
{
    if (syscall(atol(args[0]), 0, 0, 0, 0, 0, 0) < 0)
        return complain("syscall");
    dprintf(OUT, "syscall %s\n", args[0]);
    return 0;
}

static int try_mount(char **args)
{
    if (mount(args[0], args[1], args[0], 0, NULL) < 0)
        return complain("mount");
    dprintf(OUT, "mounted %s\n", args[0]);
    return 0;
}

static int wait_signal(char **args)
{
    (void)args;
    dprintf(OUT, "ready\n");
    while (pause())
        ;
    return 0;
}

static int wait_byte(char **args)
{
    char byte;
    (void)args;
    dprintf(OUT, "ready\n");
    return read(OUT, &byte, 1) < 0;
}

static int leave(char **args)
{
    exit(atoi(args[0]));
}

static int restart(char **args)
{
    reboot(strcmp(args[0], "halt") ? RB_AUTOBOOT : RB_HALT_SYSTEM);
    return complain("reboot");
}

static const struct { const char *name; int (*run)(char **); int args; } commands[] = {
    { "stamp", stamp, 0 }, { "ids", show_ids, 0 }, { "fds", show_fds, 0 }, { "cat", cat, 1 },
    { "list", list, 1 }, { "write", try_write, 2 }, { "create", create, 1 }, { "open", open_device, 1 },
    { "socket", try_socket, 3 }, { "syscall", try_syscall, 1 }, { "mount", try_mount, 2 },
    { "pause", wait_signal, 0 }, { "wait", wait_byte, 0 }, { "exit", leave, 1 }, { "reboot", restart, 1 },
};

int main(int argc, char **argv)
{
    int result = 0;
    for (int i = 1; i < argc;) {
        size_t c = 0;
        while (c < sizeof commands / sizeof *commands && strcmp(commands[c].name, argv[i]))
            c++;
        if (c == sizeof commands / sizeof *commands || i + commands[c].args >= argc) {
            dprintf(OUT, "usage: payload %s\n", argv[i]);
            return 2;
        }
        result = commands[c].run(argv + i + 1);
        i += 1 + commands[c].args;
    }
    return result;
}
