/* bare-reader LOG SCRIPT: runs `sh -c SCRIPT` on a raw terminal and copies what it prints to LOG. Nothing else: what is
 * measured with it is the limit of the kernel's terminals. Ends at the hang-up, or by TERM. */
#include <errno.h>
#include <fcntl.h>
#include <pty.h>
#include <stdio.h>
#include <stdlib.h>
#include <termios.h>
#include <unistd.h>

int main(int argc, char **argv) {
  static char buffer[256 * 1024];
  struct termios raw = {0};
  int master;
  if (argc != 3) return 2;
  cfmakeraw(&raw);
  raw.c_cflag |= CS8 | CREAD;
  int log = open(argv[1], O_WRONLY | O_CREAT | O_APPEND, 0600);
  if (log < 0) { perror(argv[1]); return 1; }
  pid_t child = forkpty(&master, NULL, &raw, NULL);
  if (child < 0) { perror("forkpty"); return 1; }
  if (child == 0) {
    execl("/bin/sh", "sh", "-c", argv[2], (char *)NULL);
    _exit(127);
  }
  for (;;) {
    ssize_t got = read(master, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) continue;
    if (got <= 0) break; /* EIO: nobody has the terminal any more */
    for (ssize_t at = 0; at < got;) {
      ssize_t put = write(log, buffer + at, got - at);
      if (put < 0) { perror("write"); return 1; }
      at += put;
    }
  }
  return 0;
}
