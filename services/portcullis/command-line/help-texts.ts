/** How commands find the registry that they are about; shown below the list of commands. */
export const aboutConfiguration =
  'A command that changes or reveals something finds its registry by --config, else by PORTCULLIS_CONFIG or REGISTRY_CONFIGURATION_PATH, else it is the one that runs in this folder, or whose configuration lies below it, with the REGISTRY_* variables that it was started with.';

export const exitCodes: readonly (readonly [number, string])[] = [
  [0, 'done'],
  [1, 'it failed, and one sentence says why'],
  [2, 'the command line is wrong'],
  [3, 'acl: denied, or an expectation does not hold'],
  [4, 'fsck: something is wrong with the storage'],
];
