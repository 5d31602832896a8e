/* Preloaded into Python, it lets one system call on files below a folder fail, or kills the process
 * there. It counts the calls that change something (or, for `opens`, every opening of a file) by all
 * threads, and acts at number `at`. Built and driven by system_calls.py.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

enum mode { OFF, KILL_BEFORE, KILL_AFTER, FAIL_ONCE, FAIL_FROM, HALF_THEN_KILL, SHORT };

static volatile long changes, openings, at;
static volatile int mode, error, opens_only, thread_of_sync;
static char prefix[512];
static size_t prefix_length;

void faulty_arm(const char *folder, long number, int how, int with, int opens)
{
    strncpy(prefix, folder, sizeof prefix - 1);
    prefix_length = strlen(prefix);
    at = number, error = with, opens_only = opens, changes = openings = thread_of_sync = 0;
    __sync_synchronize();
    mode = how;
}

void faulty_disarm(void) { mode = OFF; }
long faulty_count(int opens) { return opens ? openings : changes; }
/* The thread that met the failing sync; 0 where none did. */
int faulty_thread_of_sync(void) { return thread_of_sync; }

static int ours(const char *path)
{ return prefix_length && !strncmp(path, prefix, prefix_length); }

static int ours_fd(int fd)
{
    char link[64], path[600];
    if (!prefix_length) return 0;
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t length = readlink(link, path, sizeof path - 1);
    if (length < 0) return 0;
    path[length] = 0;
    return ours(path);
}

static int ours_at(int fd, const char *path)
{
    if (!prefix_length) return 0;
    return path[0] == '/' || fd == AT_FDCWD ? ours(path) : ours_fd(fd);
}

enum opening { NONE, READING, CHANGING };

/* Counts a call; tells whether it is the one to act at. */
static int hit(int opening, int sync)
{
    long change = opening == READING ? 0 : __sync_add_and_fetch(&changes, 1);
    long open = opening == NONE ? 0 : __sync_add_and_fetch(&openings, 1);
    long number = opens_only ? open : change;
    if (!number) return 0;
    if (mode == OFF || !(mode == FAIL_FROM ? number >= at : number == at)) return 0;
    if (sync && error == ENOSPC) return 0; /* space is taken, or refused, before */
    if (sync) thread_of_sync = gettid();
    if (mode == KILL_BEFORE) kill(getpid(), SIGKILL);
    return 1;
}

#define REAL(name) static __typeof__(&name) real; if (!real) real = dlsym(RTLD_NEXT, #name)
#define ACT(is_ours, opening, sync, call)                                                         \
    if (!(is_ours) || !hit(opening, sync)) return call;                                           \
    if (mode == FAIL_ONCE || mode == FAIL_FROM) { errno = error; return -1; }                     \
    __typeof__(call) result = call;                                                               \
    if (mode == KILL_AFTER || mode == HALF_THEN_KILL) kill(getpid(), SIGKILL);                    \
    return result
/* As ACT, and it may do only the first half of `size` bytes. */
#define ACT_IN_PART(is_ours, size, call)                                                          \
    if (!(is_ours) || !hit(NONE, 0)) return call;                                                    \
    if (mode == FAIL_ONCE || mode == FAIL_FROM) { errno = error; return -1; }                     \
    if (mode == HALF_THEN_KILL || mode == SHORT) size = size > 1 ? size / 2 : size;               \
    ssize_t result = call;                                                                        \
    if (mode == KILL_AFTER || mode == HALF_THEN_KILL) kill(getpid(), SIGKILL);                    \
    return result

ssize_t write(int fd, const void *data, size_t size)
{ REAL(write); ACT_IN_PART(ours_fd(fd), size, real(fd, data, size)); }
ssize_t pwrite64(int fd, const void *data, size_t size, off64_t offset)
{ REAL(pwrite64); ACT_IN_PART(ours_fd(fd), size, real(fd, data, size, offset)); }
ssize_t copy_file_range(int in, off64_t *from, int out, off64_t *to, size_t size, unsigned flags)
{ REAL(copy_file_range); ACT_IN_PART(ours_fd(out), size, real(in, from, out, to, size, flags)); }
ssize_t sendfile64(int out, int in, off64_t *from, size_t size);
ssize_t sendfile64(int out, int in, off64_t *from, size_t size)
{ REAL(sendfile64); ACT_IN_PART(ours_fd(out), size, real(out, in, from, size)); }

/* The first half of the pieces, or of the only one; tells whether it is that one. */
static int halved(const struct iovec *pieces, int *number, struct iovec *half)
{
    *number = *number > 1 ? *number / 2 : 1;
    *half = pieces[0];
    if (*number == 1) half->iov_len = half->iov_len > 1 ? half->iov_len / 2 : half->iov_len;
    return *number == 1;
}
#define ACT_IN_PIECES(call)                                                                       \
    if (!ours_fd(fd) || !hit(NONE, 0)) return call;                                                  \
    if (mode == FAIL_ONCE || mode == FAIL_FROM) { errno = error; return -1; }                     \
    struct iovec half;                                                                            \
    if ((mode == HALF_THEN_KILL || mode == SHORT) && halved(pieces, &number, &half))          \
        pieces = &half;                                                                           \
    ssize_t result = call;                                                                        \
    if (mode == KILL_AFTER || mode == HALF_THEN_KILL) kill(getpid(), SIGKILL);                    \
    return result

ssize_t writev(int fd, const struct iovec *pieces, int number)
{ REAL(writev); ACT_IN_PIECES(real(fd, pieces, number)); }
ssize_t pwritev64(int fd, const struct iovec *pieces, int number, off64_t offset)
{ REAL(pwritev64); ACT_IN_PIECES(real(fd, pieces, number, offset)); }
ssize_t pwritev64v2(int fd, const struct iovec *pieces, int number, off64_t offset, int flags)
{ REAL(pwritev64v2); ACT_IN_PIECES(real(fd, pieces, number, offset, flags)); }

int fsync(int fd) { REAL(fsync); ACT(ours_fd(fd), NONE, 1, real(fd)); }
int fdatasync(int fd) { REAL(fdatasync); ACT(ours_fd(fd), NONE, 1, real(fd)); }
int ftruncate64(int fd, off64_t size) { REAL(ftruncate64); ACT(ours_fd(fd), NONE, 0, real(fd, size)); }
int truncate64(const char *path, off64_t size)
{ REAL(truncate64); ACT(ours_at(AT_FDCWD, path), NONE, 0, real(path, size)); }
int fchmod(int fd, mode_t bits) { REAL(fchmod); ACT(ours_fd(fd), NONE, 0, real(fd, bits)); }
int futimens(int fd, const struct timespec times[2])
{ REAL(futimens); ACT(ours_fd(fd), NONE, 0, real(fd, times)); }
int utimensat(int fd, const char *path, const struct timespec times[2], int flags)
{ REAL(utimensat); ACT(ours_at(fd, path), NONE, 0, real(fd, path, times, flags)); }
int rename(const char *from, const char *to)
{ REAL(rename); ACT(ours_at(AT_FDCWD, to), NONE, 0, real(from, to)); }
int renameat(int from, const char *old, int to, const char *new)
{ REAL(renameat); ACT(ours_at(to, new), NONE, 0, real(from, old, to, new)); }
int link(const char *from, const char *to)
{ REAL(link); ACT(ours_at(AT_FDCWD, to), NONE, 0, real(from, to)); }
int linkat(int from, const char *old, int to, const char *new, int flags)
{ REAL(linkat); ACT(ours_at(to, new), NONE, 0, real(from, old, to, new, flags)); }
int symlink(const char *from, const char *to)
{ REAL(symlink); ACT(ours_at(AT_FDCWD, to), NONE, 0, real(from, to)); }
int unlink(const char *path) { REAL(unlink); ACT(ours_at(AT_FDCWD, path), NONE, 0, real(path)); }
int unlinkat(int fd, const char *path, int flags)
{ REAL(unlinkat); ACT(ours_at(fd, path), NONE, 0, real(fd, path, flags)); }
int mkdir(const char *path, mode_t bits)
{ REAL(mkdir); ACT(ours_at(AT_FDCWD, path), NONE, 0, real(path, bits)); }
int mkdirat(int fd, const char *path, mode_t bits)
{ REAL(mkdirat); ACT(ours_at(fd, path), NONE, 0, real(fd, path, bits)); }
int rmdir(const char *path) { REAL(rmdir); ACT(ours_at(AT_FDCWD, path), NONE, 0, real(path)); }

int posix_fallocate64(int fd, off64_t from, off64_t size)
{ /* this one returns its error */
    REAL(posix_fallocate64);
    if (!ours_fd(fd) || !hit(NONE, 0)) return real(fd, from, size);
    if (mode == FAIL_ONCE || mode == FAIL_FROM) return error;
    int result = real(fd, from, size);
    if (mode == KILL_AFTER || mode == HALF_THEN_KILL) kill(getpid(), SIGKILL);
    return result;
}

#define OPENING (flags & (O_CREAT | O_TRUNC) ? CHANGING : READING)
#define BITS                                                                                      \
    mode_t bits = 0;                                                                              \
    if (flags & (O_CREAT | __O_TMPFILE)) {                                                        \
        va_list rest;                                                                             \
        va_start(rest, flags);                                                                    \
        bits = va_arg(rest, mode_t);                                                              \
        va_end(rest);                                                                             \
    }

int open64(const char *path, int flags, ...)
{ REAL(open64); BITS; ACT(ours_at(AT_FDCWD, path), OPENING, 0, real(path, flags, bits)); }
int open(const char *path, int flags, ...)
{ REAL(open); BITS; ACT(ours_at(AT_FDCWD, path), OPENING, 0, real(path, flags, bits)); }
int openat64(int fd, const char *path, int flags, ...)
{ REAL(openat64); BITS; ACT(ours_at(fd, path), OPENING, 0, real(fd, path, flags, bits)); }
int __open64_2(const char *path, int flags);
int __open64_2(const char *path, int flags)
{ REAL(__open64_2); ACT(ours_at(AT_FDCWD, path), OPENING, 0, real(path, flags)); }
