/** A span of time in the largest unit of which there are at least two: `36 hours`, `5 minutes`, `12 seconds`. */
export function timeInWords(ms: number): string {
  const seconds = Math.round(Math.abs(ms) / 1000);
  if (seconds >= 172_800) return `${Math.floor(seconds / 86_400)} days`;
  if (seconds >= 7_200) return `${Math.floor(seconds / 3_600)} hours`;
  if (seconds >= 120) return `${Math.floor(seconds / 60)} minutes`;
  return seconds === 1 ? "1 second" : `${seconds} seconds`;
}
