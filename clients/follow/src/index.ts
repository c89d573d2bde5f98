export { FollowError } from './causes.js';
export { eventSource, type EventSourceOptions } from './event-source.js';
export { follow, type FollowOptions, type SagaEvent, sagaEventsDocument } from './follow.js';
export type { GraphQLErrorLike, Headers, Request, Result, Sink, Source } from './protocol.js';
export { iterate, resume, type ResumeOptions, type Settings, type Status } from './resume.js';
export { sse, type StreamOptions, watched } from './sse.js';
export { backoffMs } from './waiting.js';
