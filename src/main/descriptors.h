/* descriptors.h - how many descriptors the process may have, and how many clients that allows. */
#ifndef MAIN_DESCRIPTORS_H
#define MAIN_DESCRIPTORS_H

#include "conf/config.h"

/* Raise the limit as far as it goes, and say how many clients that allows: client_maxconn, or fewer. */
size_t descriptors_raise(const struct config *config);

#endif
