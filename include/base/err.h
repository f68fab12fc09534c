/* err.h - why something failed, in words fit for a log line or the body of a 400.
 *
 * Whoever fails says why; whoever decides what happens next writes the log line. */
#ifndef BASE_ERR_H
#define BASE_ERR_H

struct err {
    char text[256]; /* ends in NUL; cut when longer */
};

/* E may be NULL when the caller does not want to know. */
void err_set(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* Put words in front of what E says: "routes:3: " + "target bad format". */
void err_prefix(struct err *e, const char *format, ...) __attribute__((format(printf, 2, 3)));

#endif
