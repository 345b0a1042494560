// DELE, RSET, QUIT and pipelining.
