// STAT, LIST and UIDL.
