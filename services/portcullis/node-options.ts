/**
 * Options of Node for each of our processes. http-proxy uses what Node calls deprecated; SIGUSR1 would open a debugger to
 * every user of the machine.
 */
export const nodeOptions = ['--disable-warning=DEP0060', '--disable-sigusr1'] as const;
