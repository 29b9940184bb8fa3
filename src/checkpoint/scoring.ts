/** Architectures that are a decoder with another head. */

const SCORING = /For(?:SequenceClassification|RewardModel)$/;

/** Whether config.json names an architecture that scores instead of generating. */
export function isScoringArchitecture(architecture: string): boolean {
  return SCORING.test(architecture);
}

/** `Qwen2ForRewardModel` → `Qwen2ForCausalLM`: the decoder is the same. */
export const decoderArchitecture = (architecture: string): string => architecture.replace(SCORING, 'ForCausalLM');
