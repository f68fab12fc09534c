/* version.h - what --version says. */
#ifndef MAIN_VERSION_H
#define MAIN_VERSION_H

#define VERSION "0.1.0"

#endif
