/* A disk that shows what a death would leave, put under a process by LD_PRELOAD (Linux; built and driven by aegis.testing.crash).

   It watches fsync and fdatasync of files and folders under CRASHDISK_FOLDER and numbers them from 1. What a sync made durable is
   copied to the same place under CRASHDISK_SHADOW: after a power loss the shadow is the disk, everything that was
   written and not synced is gone. A name given, changed or removed is durable with the next sync of any file, as on
   a file system that journals names in order (ext4, xfs, btrfs, apfs).

   The process stops (SIGSTOP) just before and just after each sync, so that both disks can be copied; SIGCONT goes on.

   CRASHDISK_SKIP=PATTERN   answer 0 to the syncs of these paths and do nothing; as in fnmatch(3), and read at each
                            sync, so that a process may set it for a while
   CRASHDISK_LOG=FILE       one line for each sync: its number and its path
*/
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static pthread_mutex_t one_at_a_time = PTHREAD_MUTEX_INITIALIZER;
static int (*real_fsync)(int), (*real_fdatasync)(int);
static int (*real_unlink)(const char *), (*real_rename)(const char *, const char *);
static int (*real_unlinkat)(int, const char *, int), (*real_renameat)(int, const char *, int, const char *);
static char folder[PATH_MAX], shadow[PATH_MAX];
static long count;
static int log_fd = -1;

struct change { /* of a name, not yet durable; `to` is NULL for a removal */
    char *from, *to;
    struct change *next;
};
static struct change *changes, **last_change = &changes;

static void setting(const char *name, char *into, size_t size)
{
    const char *value = getenv(name);
    snprintf(into, size, "%s", value ? value : "");
}

__attribute__((constructor)) static void start(void)
{
    char log[PATH_MAX];
    real_fsync = dlsym(RTLD_NEXT, "fsync");
    real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    real_unlink = dlsym(RTLD_NEXT, "unlink");
    real_rename = dlsym(RTLD_NEXT, "rename");
    real_unlinkat = dlsym(RTLD_NEXT, "unlinkat");
    real_renameat = dlsym(RTLD_NEXT, "renameat");
    setting("CRASHDISK_FOLDER", folder, sizeof folder);
    setting("CRASHDISK_SHADOW", shadow, sizeof shadow);
    setting("CRASHDISK_LOG", log, sizeof log);
    if (*log)
        log_fd = open(log, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    unsetenv("LD_PRELOAD"); /* what the process starts has a disk of its own */
}

/* The path below the folder, or NULL when the descriptor is neither a file nor a folder in it. */
static const char *watched(int fd, char *path)
{
    char link[64];
    size_t root = strlen(folder);
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    if (!root || size < 0)
        return NULL;
    path[size] = 0;
    struct stat seen;
    if (strncmp(path, folder, root) || path[root] != '/' || fstat(fd, &seen) || !(S_ISREG(seen.st_mode) || S_ISDIR(seen.st_mode)))
        return NULL;
    return path + root + 1;
}

static void give_up(const char *what)
{
    fprintf(stderr, "crashdisk: %s: %s\n", what, strerror(errno));
    abort();
}

/* The file is read through the descriptor it was synced by: to open and close it once more would drop SQLite's locks. */
static void keep(int fd, const char *name)
{
    struct stat seen;
    if (fstat(fd, &seen) || S_ISDIR(seen.st_mode))
        return; /* a folder holds names, and those are settled */
    char to[2 * PATH_MAX], temporary[2 * PATH_MAX + 8], block[65536];
    snprintf(to, sizeof to, "%s/%s", shadow, name);
    for (char *at = to + strlen(shadow) + 1; (at = strchr(at, '/')); at++) {
        *at = 0;
        mkdir(to, 0700);
        *at = '/';
    }
    snprintf(temporary, sizeof temporary, "%s.new", to);
    int from = (fcntl(fd, F_GETFL) & O_ACCMODE) == O_WRONLY ? -1 : fd;
    if (from < 0) {
        char path[PATH_MAX + 64];
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        from = open(path, O_RDONLY | O_CLOEXEC);
    }
    int out = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (from < 0 || out < 0)
        give_up(to);
    ssize_t got;
    for (off_t at = 0; (got = pread(from, block, sizeof block, at)) > 0; at += got)
        if (write(out, block, got) != got)
            give_up(to);
    if (got < 0 || close(out) || real_rename(temporary, to))
        give_up(to);
    if (from != fd)
        close(from);
}

static char *shadowed(const char *path)
{
    char *result = NULL;
    size_t root = strlen(folder);
    if (path && root && !strncmp(path, folder, root) && path[root] == '/' && asprintf(&result, "%s%s", shadow, path + root) < 0)
        give_up("memory");
    return result;
}

static void remember(const char *from, const char *to)
{
    struct change *change = calloc(1, sizeof *change);
    if (!change)
        give_up("memory");
    *change = (struct change){shadowed(from), shadowed(to), NULL};
    pthread_mutex_lock(&one_at_a_time);
    *last_change = change;
    last_change = &change->next;
    pthread_mutex_unlock(&one_at_a_time);
}

static void settle_names(void)
{
    for (struct change *change = changes, *next; change; change = next) {
        next = change->next;
        if (change->from && change->to)
            real_rename(change->from, change->to);
        else if (change->from)
            real_unlink(change->from);
        free(change->from), free(change->to), free(change);
    }
    changes = NULL;
    last_change = &changes;
}

static int synced(int fd, int (*real)(int))
{
    char path[PATH_MAX], line[PATH_MAX + 32];
    const char *name = watched(fd, path);
    if (!name)
        return real(fd);
    pthread_mutex_lock(&one_at_a_time);
    int result = 0;
    const char *skip = getenv("CRASHDISK_SKIP");
    if (log_fd >= 0 && write(log_fd, line, snprintf(line, sizeof line, "%ld %s\n", ++count, name)) < 0)
        give_up("log");
    raise(SIGSTOP); /* to this very thread: it does not go on before the whole process stands still */
    if (!skip || fnmatch(skip, name, 0)) {
        result = real(fd);
        if (!result) {
            settle_names();
            keep(fd, name);
        }
    }
    raise(SIGSTOP);
    pthread_mutex_unlock(&one_at_a_time);
    return result;
}

int fsync(int fd) { return synced(fd, real_fsync); }

int fdatasync(int fd) { return synced(fd, real_fdatasync); }

int unlink(const char *path)
{
    int result = real_unlink(path);
    if (!result)
        remember(path, NULL);
    return result;
}

int rename(const char *from, const char *to)
{
    int result = real_rename(from, to);
    if (!result)
        remember(from, to);
    return result;
}

/* The whole path of a name below an opened folder. */
static const char *below(int dir, const char *name, char *path)
{
    char link[64];
    if (dir == AT_FDCWD || *name == '/')
        return name;
    snprintf(link, sizeof link, "/proc/self/fd/%d", dir);
    ssize_t size = readlink(link, path, PATH_MAX - 1);
    if (size < 0)
        give_up(name);
    snprintf(path + size, PATH_MAX - size, "/%s", name);
    return path;
}

int unlinkat(int dir, const char *name, int flags)
{
    char path[PATH_MAX];
    int result = real_unlinkat(dir, name, flags);
    if (!result && !(flags & AT_REMOVEDIR))
        remember(below(dir, name, path), NULL);
    return result;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
    char was[PATH_MAX], is[PATH_MAX];
    int result = real_renameat(from_dir, from, to_dir, to);
    if (!result)
        remember(below(from_dir, from, was), below(to_dir, to, is));
    return result;
}
