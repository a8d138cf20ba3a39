/*
 * How one learner's log is merged: services/progress/fold.go (Facts.Add, merge, Step, FoldLog) and
 * services/progress/engine (committer, batch, delivery). README.md says how to run it, and what is left out.
 *
 *   DELIVERY (the default)  three devices with four fixed events each, two of the twelve are voids; two replicas,
 *                           transactions that fail or whose outcome is unknown, answers that are lost.
 *   -DFREE=n                n events of any content, in any order, one replica, no faults: every log of
 *                           that length. -DZONES -DVERSIONS -DWAIVERS widen the content.
 *
 * An event's number is its place in the order of folding, by (effective_at, occurred_at, event_id); events
 * are delivered in any order. A unit of time is half a day; a zone is half a day ahead, or not.
 */

#define PERIOD 4 /* of validity; the zone adds one, so that an expiry depends on it */
#define WINDOW 1
#define ARCHIVE 3 /* with revision 1 of the catalog the module was in the archive from here */
#define RESTORE 5 /* to here */
#define NONE 255
#define WATCHED 1 /* the event whose answers are watched for the award */
#define LATER 20 /* than any event */

/* A directive cannot stand in an inline. */
#ifdef FAST_LATE
#define fast_late 1
#else
#define fast_late 0
#endif
#ifdef FORGET_STALE
#define forget_stale 1
#else
#define forget_stale 0
#endif
#ifdef COUNT_TWICE
#define count_twice 1
#else
#define count_twice 0
#endif
#ifdef ANSWER_EARLY
#define answer_early 1
#else
#define answer_early 0
#endif
#ifdef NO_LOCK
#define no_lock 1
#else
#define no_lock 0
#endif
#ifdef AWARD_ONCE
#define award_once 1
#else
#define award_once 0
#endif
#ifdef TIE_ZONE
#define tie_zone 1
#else
#define tie_zone 0
#endif
#ifdef STORE_LAPSED
#define store_lapsed 1
#else
#define store_lapsed 0
#endif

#ifdef FREE
#define N FREE
#ifndef TIMES
#define TIMES 6
#endif
#define MAXC 4
byte at[N]; /* effective_at; never falls */
byte unit[N]; /* 1, 2; 0 is the whole module, waived */
bit zone[N];
byte version[N];
#define voids(e) 0
#define target(e) 0
#define DEVICES 1
#define faults 0
bit policy; /* whether completions expire */
#else
#define N 12
#define MAXC 5
/* Device 0 has events 0 3 6 9, device 1 has 1 4 7 10, device 2 has 2 5 8 11. */
#define DEVICES 3
#define faults 1
hidden byte at[N] = {1, 1, 1, 2, 3, 3, 4, 5, 5, 6, 8, 9};
hidden byte unit[N] = {1, 2, 2, 1, 2, 1, 2, 1, 2, 1, 2, 1};
hidden byte zone[N] = {0, 1, 0, 0, 0, 1, 0, 0, 1, 0, 0, 0};
hidden byte version[N] = {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1};
/* Event 7 voids 2, event 9 voids 5: the only ones that need another one in the log. */
#define voids(e) ((e) == 7 || (e) == 9)
#define target(e) ((e) == 7 -> 2 : 5)
#define policy 1
#endif

#define bit_of(e) (1 << (e))
#define has(set, e) (((set) >> (e)) & 1)
#define least(a, b) ((a) == 0 -> (b) : (((b) != 0 && (b) < (a)) -> (b) : (a))) /* 0 is never */
#define most(a, b) ((a) > (b) -> (a) : (b))
#define day(when, ahead) (((when) + (ahead)) / 2)

typedef Cycle {
	byte begin, done, on, expire, window, u1, u2, waived, versions, tries;
	bit zone, renewal
}

/* c[n] is what is gathered aside, where aside says so. */
typedef Facts {
	bit is, key, zone, aside;
	byte last, first, n;
	Cycle c[MAXC]
}

#define finished1(c) ((least(c.waived, c.u1) == 0 || least(c.waived, c.u2) == 0) -> 0 : most(least(c.waived, c.u1), least(c.waived, c.u2)))
#define finished2(c) least(c.waived, c.u2) /* version 2 dropped unit 1 */
#define finished(c, v) ((v) == 2 -> finished2(c) : finished1(c))

/* The store. */
Facts db;
short logged; /* the events in the log, a set */
byte head;    /* the learner's last sequence */
bit award;    /* whether the milestone's award is latched, */
bit earned;   /* by a delivery that stored the event WATCHED: its sequence is of from_sequence to to_sequence */
bit revision; /* the stored catalog's */
bit locked;   /* the learner's row */

/* Scratch of d_steps, never a part of the state. */
hidden byte nth, slot, moment, place, shift;
hidden byte merged, unfinished, outdated, latched;
hidden short gone;
hidden Facts anew;

inline clear_cycle(cy) {
	cy.begin = 0; cy.done = 0; cy.on = 0; cy.expire = 0; cy.window = 0; cy.u1 = 0; cy.u2 = 0;
	cy.waived = 0; cy.versions = 0; cy.tries = 0; cy.zone = 0; cy.renewal = 0
}

inline copy_cycle(p, q) {
	p.begin = q.begin; p.done = q.done; p.on = q.on; p.expire = q.expire; p.window = q.window; p.u1 = q.u1; p.u2 = q.u2;
	p.waived = q.waived; p.versions = q.versions; p.tries = q.tries; p.zone = q.zone; p.renewal = q.renewal
}

inline clear_facts(f) {
	f.is = 0; f.key = 0; f.zone = 0; f.aside = 0; f.last = 0; f.first = 0; f.n = 0;
	slot = 0;
	do
	:: slot < MAXC -> clear_cycle(f.c[slot]); slot++
	:: else -> break
	od
}

inline copy_facts(a, b) {
	a.is = b.is; a.key = b.key; a.zone = b.zone; a.aside = b.aside; a.last = b.last; a.first = b.first; a.n = b.n;
	slot = 0;
	do
	:: slot < MAXC -> copy_cycle(a.c[slot], b.c[slot]); slot++
	:: else -> break
	od
}

#define same_cycle(p, q) (p.begin == q.begin && p.done == q.done && p.on == q.on && p.expire == q.expire && p.window == q.window && \
	p.u1 == q.u1 && p.u2 == q.u2 && p.waived == q.waived && p.versions == q.versions && p.tries == q.tries && p.zone == q.zone && p.renewal == q.renewal)

inline assert_same(a, b) {
	assert(a.is == b.is && a.key == b.key && a.zone == b.zone && a.aside == b.aside && a.last == b.last && a.first == b.first && a.n == b.n);
	slot = 0;
	do
	:: slot < MAXC -> assert(same_cycle(a.c[slot], b.c[slot])); slot++
	:: else -> break
	od
}

/* CycleFacts.apply: the earliest time, or the newest one where those before may lapse. */
inline apply(cy, e, newest) {
	cy.versions = cy.versions | bit_of(version[e]);
	if
	:: unit[e] == 0 -> cy.waived = (newest -> at[e] : least(cy.waived, at[e]))
	:: unit[e] == 1 -> cy.u1 = (newest -> at[e] : least(cy.u1, at[e])); cy.tries++
	:: unit[e] == 2 -> cy.u2 = (newest -> at[e] : least(cy.u2, at[e])); cy.tries++
	fi
}

/* Facts.lapse: in a renewal, credit counts for one period, reckoned in the zone of the cycle before. */
inline lapse(f, cy, later) {
	shift = f.c[place - 1].zone;
	if :: cy.u1 != 0 && cy.u1 + PERIOD + shift <= later -> cy.u1 = 0 :: else fi;
	if :: cy.u2 != 0 && cy.u2 + PERIOD + shift <= later -> cy.u2 = 0 :: else fi;
	if :: cy.waived != 0 && cy.waived + PERIOD + shift <= later -> cy.waived = 0 :: else fi
}

/* Facts.complete and expire: on the newest version with an event that has all that it requires. */
inline complete(f, cy) {
	if
	:: has(cy.versions, 2) && finished2(cy) != 0 -> cy.on = 2
	:: else ->
		if
		:: has(cy.versions, 1) && finished1(cy) != 0 -> cy.on = 1
		:: else
		fi
	fi;
	if
	:: cy.on != 0 ->
		cy.done = moment;
		if
		:: policy -> cy.expire = moment + PERIOD + cy.zone; cy.window = cy.expire - WINDOW
		:: else
		fi;
		if
		:: place == f.n -> f.n++; f.aside = 0
		:: else
		fi
	:: else
	fi
}

/* Facts.cycleFor sets place. */
inline cycle_for(f) {
	if
	:: f.n == 0 -> place = 0; f.n = 1; f.c[0].begin = moment
	:: else ->
		place = f.n - 1;
		if
		:: f.c[place].done == 0
		:: f.c[place].done != 0 && policy && moment >= f.c[place].window ->
			place = f.n; assert(place < MAXC);
			f.n++; f.aside = 0; f.c[place].renewal = 1; f.c[place].begin = moment
		:: f.c[place].done != 0 && policy && moment < f.c[place].window && day(moment, f.c[place].zone) > day(f.c[place].done, f.c[place].zone) ->
			place = f.n; assert(place < MAXC);
			if
			:: !f.aside -> f.aside = 1; f.c[place].renewal = 1; f.c[place].begin = moment
			:: else
			fi
		:: else
		fi
	fi
}

/* Facts.Step. */
inline step(f, e, known) {
	moment = at[e];
	f.last = e + 1;
	if
	:: known && moment >= ARCHIVE && moment < RESTORE && !(f.first != 0 && f.first < ARCHIVE)
	:: else ->
		if :: f.first == 0 -> f.first = moment :: else fi;
		cycle_for(f);
		unfinished = f.c[place].done == 0;
		if :: unfinished && f.c[place].renewal -> lapse(f, f.c[place], moment) :: else fi;
		apply(f.c[place], e, (unfinished && f.c[place].renewal));
		f.zone = zone[e];
		if
		:: unfinished -> f.c[place].zone = zone[e]; complete(f, f.c[place])
		:: else
		fi
	fi
}

/* FoldLog of the events in a set, voided ones left out. */
inline fold_log(f, keyed, set) {
	clear_facts(f);
	f.is = 1; f.key = keyed; gone = 0;
	nth = 0;
	do
	:: nth < N ->
		if
		:: has(set, nth) && voids(nth) -> gone = gone | bit_of(target(nth)) | bit_of(nth)
		:: else
		fi;
		nth++
	:: else -> break
	od;
	nth = 0;
	do
	:: nth < N ->
		if
		:: has(set, nth) && !has(gone, nth) -> step(f, nth, keyed)
		:: else
		fi;
		nth++
	:: else -> break
	od
}

/*
 * Facts.merge sets merged; where that is 0, f is spoilt. A late event never joins a completed cycle from before
 * its completion: where two events have the completion's time, the late one may do what the later of them
 * did, and then the earlier one completes the cycle, in its own zone. Only folding again finds that.
 */
inline merge(f, e) {
	merged = 0;
	if
	:: f.key == 0 && f.n == 1 && !f.aside && f.c[0].versions == bit_of(version[e]) && at[e] != f.c[0].done &&
	   !(policy && f.c[0].done != 0 && at[e] > f.c[0].done) &&
	   (tie_zone || !(f.c[0].done != 0 && at[e] < f.c[0].done)) ->
		f.first = least(f.first, at[e]); f.c[0].begin = least(f.c[0].begin, at[e]);
		apply(f.c[0], e, 0);
		merged = finished(f.c[0], version[e]) == f.c[0].done
	:: else
	fi
}

/* Facts.Add sets merged: whether that takes no look at the log. */
inline add(f, e, keyed) {
	merged = 0;
	if
	:: f.key != keyed && !forget_stale
	:: else ->
		if
		:: e + 1 > f.last -> step(f, e, keyed); merged = 1
		:: e + 1 < f.last && fast_late && f.n == 1 -> slot = f.last; step(f, e, keyed); f.last = slot; merged = 1
		:: else -> merge(f, e)
		fi
	fi
}

/* delivery.record of one event: acc are those that are answered ACCEPTED or DUPLICATE. */
inline record(e) {
	if
	:: e == NONE
	:: e != NONE && has(new | seen, e) && !(count_twice && again) ->
		acc = acc | bit_of(e);
		told = told || (earned && e == WATCHED && !award_once) /* delivery.earnedBy */
	:: else ->
		if
		:: !voids(e) ->
			acc = acc | bit_of(e); new = new | bit_of(e); seq++;
			if :: !w.is -> w.is = 1; w.key = cat :: else fi;
			if
			:: outdated
			:: else -> add(w, e, cat); outdated = !merged
			fi
		:: voids(e) && has(new | seen, target(e)) -> /* each target has one void, so it is not voided already */
			acc = acc | bit_of(e); new = new | bit_of(e); seq++; fall = 1; outdated = 1
		:: else /* VOID_TARGET_UNKNOWN */
		fi
	fi
}

/* batch.run: all of a transaction but its end, on what it reads under the lock. */
inline work() {
	copy_facts(w, db);
	seen = logged; from = head; seq = head; latches = award; new = 0; acc = 0; told = 0; outdated = 0; fall = 0;
	before = (w.n > 0 -> w.c[0].done : 0);
	record(e1);
	record(e2);
	if :: outdated -> fold_log(w, cat, new | seen) :: else fi;
	latched = 0;
	if
	:: new != 0 && !latches && (fall || before != (w.n > 0 -> w.c[0].done : 0)) && w.n > 0 && w.c[0].done != 0 ->
		latched = 1; told = 1
	:: else
	fi;
	latches = latched
}

/* The transaction counts. What must hold of the log and of the facts at rest is checked here. */
inline commit() {
	assert((new & logged) == 0);       /* each event is stored once */
	assert(new == 0 || head == from);  /* the sequence follows the last one */
	assert(w.key >= db.key || !db.is); /* no replica goes back to an older catalog */
	logged = logged | new;
	if
	:: new != 0 -> head = seq; copy_facts(db, w)
	:: else
	fi;
	if :: latches -> assert(!award); award = 1; earned = has(new, WATCHED) :: else fi;
	shift = 0; nth = 0;
	do
	:: nth < N -> shift = shift + has(logged, nth); nth++
	:: else -> break
	od;
	assert(head == shift);                                     /* gapless */
	assert(!db.is || db.n == 0 || db.c[0].done == 0 || award); /* whoever has completed has the award */
	if
	:: db.is -> fold_log(anew, db.key, logged); assert_same(db, anew) /* so the order of delivery does not matter */
	:: else
	fi
}

/* What must hold of an answer. */
inline answer() {
	assert((acc & logged) == acc);                 /* nothing acknowledged is lost */
	assert(!(earned && has(acc, WATCHED)) || told) /* an award is told with each answer to what earned it */
}

inline forget() {
	clear_facts(w);
	seen = 0; new = 0; acc = 0; seq = 0; from = 0; before = 0; told = 0; latches = 0; fall = 0; cat = 0
}

/* Any event, in the log or not, alone or with the next one of the same device, in either order. */
inline choose() {
	e1 = 0;
	do
	:: e1 < N - 1 -> e1++
	:: break
	od;
	e2 = NONE;
	if
	:: skip
	:: e1 + DEVICES < N -> e2 = e1 + DEVICES;
		if
		:: skip
		:: d_step { nth = e1; e1 = e2; e2 = nth }
		fi
	fi
}

/* A sweep that stores facts as of a later time, with what has lapsed by then taken away. */
inline sweep() {
	if
	:: db.n > 1 && db.c[db.n - 1].done == 0 -> place = db.n - 1; lapse(db, db.c[place], LATER)
	:: db.aside -> place = db.n; lapse(db, db.c[place], LATER)
	:: else
	fi
}

/* The work is over, and the replica waits for more. */
inline idle() {
	forget();
	e1 = 0; e2 = 0; again = 0; holding = 0; locked = 0
}

/* COMMIT_OUTCOME_UNKNOWN: committer.commit runs the batch again, once. The lock is free when the first transaction is decided. */
inline unknown() {
	if :: answer_early -> answer() :: else fi;
	if
	:: again -> idle()
	:: else -> forget(); again = 1; holding = 0; locked = 0
	fi
}

/* One replica of the two has a bad connection: that both have one adds nothing but a product of the two. */
proctype Replica(bit fragile) {
	byte e1, e2, from, seq, before;
	short seen, new, acc;
	bit cat, again, holding, told, latches, fall;
	Facts w;
end:
	do
	:: atomic { !holding && (!locked || no_lock) ->
		if
		:: again
		:: else -> choose()
		fi;
		d_step {
			locked = 1;
			cat = revision; /* committer.try fetches the catalog that others have acted on */
			work();
			if
			:: faults && new != 0 -> holding = 1
			:: !faults && new != 0 -> commit(); answer(); if :: store_lapsed -> sweep() :: else fi; idle()
			:: else -> answer(); idle() /* nothing is written, so nothing can fail */
			fi
		}
	}
	:: atomic { holding ->
		if
		:: d_step { commit(); answer(); idle() } /* the answer may be lost: then the device sends the same again, at any time, to any replica */
		:: d_step { idle() }                     /* it failed, and the caller is told so */
		:: d_step { fragile -> commit(); unknown() }
		:: d_step { fragile -> unknown() }
		fi
	}
	od
}

/* An author archives the module and restores it: facts of before are stale. */
proctype Catalog() {
	revision = 1
}

init {
#ifdef FREE
	atomic {
		byte e = 0, from = 1;
		if :: policy = 0 :: policy = 1 fi;
		do
		:: e < N ->
			at[e] = from;
			do
			:: at[e] < TIMES -> at[e]++
			:: break
			od;
			from = at[e];
			if
			:: unit[e] = 1
			:: unit[e] = 2
#ifdef WAIVERS
			:: unit[e] = 0
#endif
			fi;
#ifdef ZONES
			if :: zone[e] = 0 :: zone[e] = 1 fi;
#endif
#ifdef VERSIONS
			if :: version[e] = 1 :: version[e] = 2 fi;
#else
			version[e] = 1;
#endif
			e++
		:: else -> break
		od;
		e = 0; from = 0;
		run Replica(0); run Catalog()
	}
#else
	atomic { run Replica(0); run Replica(1); run Catalog() }
#endif
}
