// Servers that hang up, are slow, or let nobody in.
