import { formatFileValidators } from '#libs/http/file-validators.ts';
import { internalHeaders } from '#libs/http/internal-headers.ts';
import { anyTree } from '#libs/internal/tree-identity.ts';
import { AnswerValidators } from '../registry/answer-validators.ts';
import { pathInTree } from '../registry/paths.ts';
import type { CoreContext } from './handler.ts';

/** The storage tree, as gateways of this machine can see it too. */
export interface VisibleTree {
  /** What it is called on this machine. */
  name: string;
  /** Whether its files alone decide what is answered, and show each change of theirs to whoever looks. */
  validates: boolean;
}

/** Whether the gateway has said that it can see the files of this tree itself. */
export function seesTree(ctx: CoreContext, tree: VisibleTree | undefined): boolean {
  if (tree === undefined || !ctx.state.trusted) return false;
  const seen = ctx.get(internalHeaders.tree);
  return seen === tree.name || seen === anyTree;
}

/** To be told of the files that an answer is made of; undefined where its gateway could not see them change. */
export function validatorsFor(
  ctx: CoreContext,
  tree: VisibleTree | undefined,
): AnswerValidators | undefined {
  return tree?.validates === true && seesTree(ctx, tree) ? new AnswerValidators() : undefined;
}

/** Names the files to the gateway by which it may know that this very answer is true yet (docs/adr/0020). */
export function nameValidators(ctx: CoreContext, files: AnswerValidators | undefined): void {
  const deciding = files?.all();
  if (deciding === undefined) return;
  const named = deciding.map(({ path, state }) => ({ path: pathInTree(path), state }));
  ctx.set(internalHeaders.validators, formatFileValidators(named));
}
