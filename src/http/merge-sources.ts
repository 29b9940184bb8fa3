/** Several streams read as one, for a request with several prompts. */

/**
 * Everything that has arrived from any source, tagged with the source's index, joined into one array per read. A source is asked for
 * more only after what it gave was taken, so that a slow reader slows all of them down. Fails with the first failure.
 */
export async function* mergeSources<T>(sources: readonly AsyncIterable<readonly T[]>[]): AsyncGenerator<readonly (readonly [number, T])[]> {
  const iterators = sources.map((source) => source[Symbol.asyncIterator]());
  const arrived: { readonly index: number; readonly result: IteratorResult<readonly T[]> }[] = [];
  let failure: { readonly error: unknown } | null = null;
  let wake = () => {};
  const ask = (index: number): void => {
    iterators[index]?.next().then(
      (result) => {
        arrived.push({ index, result });
        wake();
      },
      (error) => {
        failure ??= { error };
        wake();
      },
    );
  };

  let numOpen = iterators.length;
  for (const index of iterators.keys()) ask(index);
  try {
    while (numOpen > 0) {
      if (arrived.length === 0 && !failure) await new Promise<void>((resolve) => (wake = resolve));
      if (failure) throw (failure as { readonly error: unknown }).error;
      const taken = arrived.splice(0);
      numOpen -= taken.filter(({ result }) => result.done).length;
      const values = taken.flatMap(({ index, result }) => (result.done ? [] : result.value.map((value) => [index, value] as const)));
      if (values.length > 0) yield values;
      for (const { index, result } of taken) if (!result.done) ask(index);
    }
  } finally {
    // Not awaited: a source that is still computing its next value answers only then.
    for (const iterator of iterators) iterator.return?.()?.catch(() => {});
  }
}
