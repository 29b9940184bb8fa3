/** Entry of the server's child processes: a frontend or an engine group, as the supervisor's word says. */
import { superviseMe } from './actors/child-main.ts';
import { CHILD_VARIABLE, type ChildAssignment } from './child-assignment.ts';
import { isFollowerNode } from './tensor-nodes.ts';

const link = superviseMe();
const assignment = JSON.parse(process.env[CHILD_VARIABLE] ?? '{}') as ChildAssignment;
process.title = `troupe ${assignment.name}`;

// Each role loads its own half of the program only: a frontend listens sooner without the engine's.
if (assignment.role === 'engine' && isFollowerNode(assignment.plan.config))
  await (await import('./follower-process.ts')).runFollower(assignment, link);
else if (assignment.role === 'engine') await (await import('./engine-process.ts')).runEngine(assignment, link);
else await (await import('./frontend-process.ts')).runFrontend(assignment, link);
