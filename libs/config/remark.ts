/** Something to say of what is written in one place. */
export interface Remark {
  /** A key from the top of the configuration, or a variable. */
  path: string;
  /** Half a sentence, behind the path. */
  why: string;
}

export function formatRemark({ path, why }: Remark): string {
  return `${path}: ${why}`;
}
