declare module 'cluster-key-slot' {
  /** The slot of a key (Redis Cluster specification, "Hash tags"). */
  export default function calculateSlot(key: string): number;
}
