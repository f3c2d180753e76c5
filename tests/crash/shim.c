/* Sees every system call of a process that changes files below one folder, numbers it, and can end the process there, let the
 * call fail, or keep what a power cut would leave.
 *
 * A seccomp filter turns these calls into SIGSYS, whichever library makes them and however (Rust's rename is no call of libc's);
 * the handler does the call itself, through the one instruction that the filter lets pass. It runs in the thread that called,
 * at that call, perhaps within malloc: so it allocates nothing and uses no stdio. Linux on x86-64.
 *
 * Loaded with LD_PRELOAD, so that programs which a watched process starts, and which inherit its filter, have a handler. */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>
#include <unistd.h>

#ifndef __x86_64__
#error "the crash harness reads the registers of x86-64"
#endif

long raw(long nr, long a, long b, long c, long d, long e, long f);
extern char raw_end[];
__asm__(".text\n.globl raw\nraw:\n"
        "mov %rdi, %rax\nmov %rsi, %rdi\nmov %rdx, %rsi\nmov %rcx, %rdx\nmov %r8, %r10\nmov %r9, %r8\nmov 8(%rsp), %r9\n"
        "syscall\n.globl raw_end\nraw_end:\nret\n");

enum action { NONE, KILL_BEFORE, KILL_AFTER, FAIL_ONCE, FAIL_FROM };

static struct {
    int pid; /* of the process that is watched; 0: none */
    char root[512], shadow[512], gate[512], kinds[256], pattern[512];
    int trace; /* a file descriptor */
    enum action action;
    long occurrence;
    int error;
} plan;
static atomic_flag busy = ATOMIC_FLAG_INIT;
static long matched;

struct call {
    const char *kind;
    char path[PATH_MAX]; /* below the root */
    char pattern[PATH_MAX]; /* the same with every number and random name as '#' */
    int fd; /* of what is synced or written, else -1 */
};

static int below(const char *path) {
    size_t length = strlen(plan.root);
    return !strncmp(path, plan.root, length) && (path[length] == '/' || !path[length]);
}

static void link_of(const char *link, char *target) {
    long length = raw(SYS_readlink, (long)link, (long)target, PATH_MAX - 1, 0, 0, 0);
    target[length > 0 ? length : 0] = 0;
}

static void path_of_fd(int fd, char *path) {
    char link[64];
    snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    link_of(link, path);
}

static void resolve(int folder, const char *path, char *whole) {
    whole[0] = 0;
    if (path[0] != '/') {
        folder == AT_FDCWD ? link_of("/proc/self/cwd", whole) : path_of_fd(folder, whole);
        strncat(whole, "/", PATH_MAX - 1 - strlen(whole));
    }
    strncat(whole, path, PATH_MAX - 1 - strlen(whole));
}

static int is_hex(char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); }
static int is_alnum(char c) { return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'z'); }

static void normalise(const char *path, char *pattern) {
    while (*path) {
        size_t hex = 0, digits = 0;
        while (is_hex(path[hex])) hex++;
        while (path[digits] >= '0' && path[digits] <= '9') digits++;
        if (!strncmp(path, ".tmp", 4)) {
            memcpy(pattern, ".tmp#", 5), pattern += 5, path += 4;
            while (is_alnum(*path)) path++;
        } else if (hex >= 32 || digits) {
            *pattern++ = '#', path += hex >= 32 ? hex : digits;
        } else
            *pattern++ = *path++;
    }
    *pattern = 0;
}

/* What the call is, if it changes something below the root. */
static int look(const greg_t *r, struct call *call) {
    long nr = r[REG_RAX], a = r[REG_RDI], b = r[REG_RSI], c = r[REG_RDX];
    int folder = AT_FDCWD, flags = 0;
    const char *path = NULL;
    call->fd = -1;
    switch (nr) {
    case SYS_fsync: case SYS_fdatasync: call->kind = "sync", call->fd = a; break;
    case SYS_write: case SYS_pwrite64: case SYS_writev: case SYS_pwritev: case SYS_pwritev2: call->kind = "write", call->fd = a; break;
    case SYS_ftruncate: call->kind = "truncate", call->fd = a; break;
    case SYS_fallocate: call->kind = "allocate", call->fd = a; break;
    case SYS_truncate: call->kind = "truncate", path = (char *)a; break;
    case SYS_rename: call->kind = "rename", path = (char *)b; break;
    case SYS_renameat: case SYS_renameat2: call->kind = "rename", folder = c, path = (char *)r[REG_R10]; break;
    case SYS_link: call->kind = "link", path = (char *)b; break;
    case SYS_linkat: call->kind = "link", folder = c, path = (char *)r[REG_R10]; break;
    case SYS_unlink: call->kind = "unlink", path = (char *)a; break;
    case SYS_unlinkat: call->kind = c & AT_REMOVEDIR ? "rmdir" : "unlink", folder = a, path = (char *)b; break;
    case SYS_rmdir: call->kind = "rmdir", path = (char *)a; break;
    case SYS_mkdir: call->kind = "mkdir", path = (char *)a; break;
    case SYS_mkdirat: call->kind = "mkdir", folder = a, path = (char *)b; break;
    case SYS_creat: call->kind = "create", path = (char *)a, flags = O_CREAT; break;
    case SYS_open: path = (char *)a, flags = b; break;
    case SYS_openat: folder = a, path = (char *)b, flags = c; break;
    default: return 0;
    }
    char whole[PATH_MAX];
    if (path)
        resolve(folder, path, whole);
    else
        path_of_fd(call->fd, whole);
    if (!below(whole)) return 0;
    struct stat unused;
    int is_there = raw(SYS_lstat, (long)whole, (long)&unused, 0, 0, 0, 0) == 0;
    if (nr == SYS_open || nr == SYS_openat)
        call->kind = flags & O_CREAT && !is_there ? "create" : flags & O_TRUNC ? "truncate" : "open";
    if (!strcmp(call->kind, "mkdir") ? is_there : !is_there && (strstr("unlink rmdir open", call->kind))) return 0; /* in vain */
    strcpy(call->path, whole + strlen(plan.root) + (whole[strlen(plan.root)] == '/'));
    normalise(call->path, call->pattern);
    return 1;
}

static int is_one_of(const char *kind) {
    size_t length = strlen(kind);
    for (const char *at = plan.kinds; (at = strstr(at, kind)); at++)
        if ((at == plan.kinds || at[-1] == ',') && (at[length] == ',' || !at[length])) return 1;
    return 0;
}

static void copy(int from, const char *to) {
    static char buffer[1 << 16]; /* under the lock */
    char temporary[700];
    snprintf(temporary, sizeof temporary, "%s.part", to);
    int out = raw(SYS_open, (long)temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600, 0, 0, 0);
    long at = 0, count;
    while ((count = raw(SYS_pread64, from, (long)buffer, sizeof buffer, at, 0, 0)) > 0) {
        raw(SYS_write, out, (long)buffer, count, 0, 0, 0);
        at += count;
    }
    raw(SYS_close, out, 0, 0, 0, 0, 0);
    raw(SYS_rename, (long)temporary, (long)to, 0, 0, 0, 0);
}

struct entry { unsigned long ino; long off; unsigned short size; unsigned char type; char name[]; };

static void list(int folder, const char *to) {
    static char buffer[1 << 16];
    char temporary[700], line[400];
    snprintf(temporary, sizeof temporary, "%s.part", to);
    int out = raw(SYS_open, (long)temporary, O_WRONLY | O_CREAT | O_TRUNC, 0600, 0, 0, 0);
    long count;
    while ((count = raw(SYS_getdents64, folder, (long)buffer, sizeof buffer, 0, 0, 0)) > 0)
        for (long at = 0; at < count; at += ((struct entry *)(buffer + at))->size) {
            struct entry *one = (struct entry *)(buffer + at);
            if (!strcmp(one->name, ".") || !strcmp(one->name, "..")) continue;
            int length = snprintf(line, sizeof line, "%lu %d %s\n", one->ino, one->type == 4, one->name);
            raw(SYS_write, out, (long)line, length, 0, 0, 0);
        }
    raw(SYS_close, out, 0, 0, 0, 0, 0);
    raw(SYS_rename, (long)temporary, (long)to, 0, 0, 0, 0);
}

/* What was synced is kept under the number of its inode: a file's content, a folder's list of inodes and names. */
static void keep(const struct call *call) {
    struct stat what;
    char link[64], to[600];
    if (!plan.shadow[0] || raw(SYS_fstat, call->fd, (long)&what, 0, 0, 0, 0)) return;
    snprintf(link, sizeof link, "/proc/self/fd/%d", call->fd);
    snprintf(to, sizeof to, "%s/%lu", plan.shadow, what.st_ino);
    char one;
    /* Not opened again if it can be read as it is: closing any descriptor of a file drops SQLite's locks on it. */
    int is_open = S_ISREG(what.st_mode) && raw(SYS_pread64, call->fd, (long)&one, 1, 0, 0, 0) >= 0;
    int fd = is_open ? call->fd : raw(SYS_open, (long)link, O_RDONLY, 0, 0, 0, 0);
    S_ISDIR(what.st_mode) ? list(fd, to) : copy(fd, to);
    if (!is_open) raw(SYS_close, fd, 0, 0, 0, 0, 0);
}

static void note(const struct call *call) {
    char line[3 * PATH_MAX];
    int length = snprintf(line, sizeof line, "%s\t%s\t%s\n", call->kind, call->pattern, call->path);
    raw(SYS_write, plan.trace, (long)line, length, 0, 0, 0);
}

static int is_due(const struct call *call) {
    struct stat unused;
    if (plan.action == NONE || !is_one_of(call->kind) || (plan.pattern[0] && strcmp(plan.pattern, call->pattern))) return 0;
    if (plan.gate[0] && raw(SYS_stat, (long)plan.gate, (long)&unused, 0, 0, 0, 0)) return 0;
    matched++;
    return matched == plan.occurrence || (plan.action == FAIL_FROM && matched > plan.occurrence);
}

static void end(void) {
    raw(SYS_kill, plan.pid, SIGKILL, 0, 0, 0, 0);
    for (;;) raw(SYS_pause, 0, 0, 0, 0, 0, 0);
}

static long done(const greg_t *r) {
    return raw(r[REG_RAX], r[REG_RDI], r[REG_RSI], r[REG_RDX], r[REG_R10], r[REG_R8], r[REG_R9]);
}

static long watched(const greg_t *r) {
    struct call call;
    if (!look(r, &call)) return done(r);
    /* One call at a time: what is kept of a power cut, and the order of the trace, must be those of the file system. */
    while (atomic_flag_test_and_set(&busy)) raw(SYS_sched_yield, 0, 0, 0, 0, 0, 0);
    int due = is_due(&call);
    note(&call);
    long result;
    if (due && plan.action == KILL_BEFORE) end();
    if (due && plan.action != KILL_AFTER)
        result = -plan.error;
    else {
        result = done(r);
        if (!strcmp(call.kind, "sync") && !result) keep(&call);
        if (due) end();
    }
    atomic_flag_clear(&busy);
    return result;
}

static void on_call(int number, siginfo_t *info, void *context) {
    (void)number, (void)info;
    greg_t *r = ((ucontext_t *)context)->uc_mcontext.gregs;
    int is_ours = plan.pid && raw(SYS_getpid, 0, 0, 0, 0, 0, 0) == plan.pid;
    r[REG_RAX] = is_ours ? watched(r) : done(r);
}

__attribute__((constructor)) static void handle(void) {
    struct sigaction action = {.sa_sigaction = on_call, .sa_flags = SA_SIGINFO | SA_RESTART};
    sigaction(SIGSYS, &action, NULL);
}

#define WORD(field) BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (field))
#define ALLOW BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)
#define TRAP BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_TRAP)
#define IF_EQUAL(value, skip_else) BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)(value), 0, (skip_else))

static int filter(void) {
    static const int always[] = {
        SYS_fsync, SYS_fdatasync, SYS_write, SYS_pwrite64, SYS_writev, SYS_pwritev, SYS_pwritev2, SYS_ftruncate, SYS_fallocate,
        SYS_truncate, SYS_rename, SYS_renameat, SYS_renameat2, SYS_link, SYS_linkat, SYS_unlink, SYS_unlinkat, SYS_rmdir,
        SYS_mkdir, SYS_mkdirat, SYS_creat};
    struct sock_filter code[64];
    int at = 0;
    unsigned long pass = (unsigned long)raw_end;
#define ADD(...) code[at++] = (struct sock_filter)__VA_ARGS__
    ADD(WORD(offsetof(struct seccomp_data, arch)));
    ADD(IF_EQUAL(AUDIT_ARCH_X86_64, 4));
    ADD(WORD(offsetof(struct seccomp_data, instruction_pointer)));
    ADD(IF_EQUAL(pass, 3));
    ADD(WORD(offsetof(struct seccomp_data, instruction_pointer) + 4));
    ADD(IF_EQUAL(pass >> 32, 1));
    ADD(ALLOW);
    ADD(WORD(offsetof(struct seccomp_data, nr)));
    for (size_t i = 0; i < sizeof always / sizeof *always; i++) {
        ADD(IF_EQUAL(always[i], 1));
        ADD(TRAP);
    }
    /* Opening, where it makes, shortens or may write; else it passes: every import opens files. */
    ADD(IF_EQUAL(SYS_openat, 2));
    ADD(WORD(offsetof(struct seccomp_data, args[2])));
    ADD(BPF_JUMP(BPF_JMP | BPF_JA, 2, 0, 0));
    ADD(IF_EQUAL(SYS_open, 3));
    ADD(WORD(offsetof(struct seccomp_data, args[1])));
    ADD(BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_CREAT | O_TRUNC | O_WRONLY | O_RDWR, 0, 1));
    ADD(TRAP);
    ADD(ALLOW);
    struct sock_fprog program = {.len = at, .filter = code};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)) return -1;
    return syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &program);
}

/* Watch this process from now on, which has no other threads yet; 0, or -1 with errno. What is planned happens at the
 * ``occurrence``-th call of one of ``kinds`` (with commas) and of ``pattern`` (empty: any), or from it on; only while the file
 * ``gate`` exists, if that is not empty. */
int watch(const char *root, int trace, const char *shadow, int action, const char *kinds, const char *pattern, long occurrence,
          int error, const char *gate) {
    snprintf(plan.root, sizeof plan.root, "%s", root);
    snprintf(plan.shadow, sizeof plan.shadow, "%s", shadow);
    snprintf(plan.gate, sizeof plan.gate, "%s", gate);
    snprintf(plan.kinds, sizeof plan.kinds, "%s", kinds);
    snprintf(plan.pattern, sizeof plan.pattern, "%s", pattern);
    plan.trace = trace, plan.action = action, plan.occurrence = occurrence, plan.error = error;
    plan.pid = raw(SYS_getpid, 0, 0, 0, 0, 0, 0);
    return filter();
}
