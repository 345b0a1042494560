// TLS and middle boxes, timers, lines of commands.
