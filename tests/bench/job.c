/* The fixed small job of a quiet container, again and again: `job SECONDS PAUSE`, the milliseconds from one to the next,
 * prints `KIND NANOSECONDS` for each part when it is over.
 */
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define ROUNDS 300000 /* of arithmetic: about a millisecond */
#define MOST (1 << 16)

static int64_t now(void)
{
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000LL + at.tv_nsec;
}

static void compute(void)
{
    volatile uint64_t sum = 1;
    for (int n = 0; n < ROUNDS; n++)
        sum = sum * 6364136223846793005ULL + 1442695040888963407ULL;
}

static void process(void)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(0);
    waitpid(pid, NULL, 0);
}

static void file(void)
{
    static char block[16384];
    int fd = open("/root/job", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, block, sizeof block) != sizeof block || fdatasync(fd))
        exit(1);
    close(fd);
}

static const struct part {
    const char *name;
    void (*act)(void);
} PARTS[] = {{"compute", compute}, {"process", process}, {"file", file}};

int main(int count, char **args)
{
    static int64_t took[MOST]; /* told in the end: who reads it would have work meanwhile */
    const size_t parts = sizeof PARTS / sizeof *PARTS;
    size_t n = 0;
    if (count != 3)
        return 2;
    const int64_t end = now() + atoll(args[1]) * 1000000000LL, pause = atoll(args[2]);
    const struct timespec rest = {pause / 1000, pause % 1000 * 1000000};
    while (now() < end && n + parts <= MOST) {
        for (size_t part = 0; part < parts; part++) {
            int64_t begin = now();
            PARTS[part].act();
            took[n++] = now() - begin;
        }
        nanosleep(&rest, NULL);
    }
    for (size_t at = 0; at < n; at++)
        printf("%s %lld\n", PARTS[at % parts].name, (long long)took[at]);
    return 0;
}
