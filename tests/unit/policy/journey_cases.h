// Journeys and where they lead, as published for SCXML. "scion" rows are cases of the SCXML test framework by Jacob Beard
// (github.com/jbeard4/scxml-test-framework), told again in the notation below; "irp" rows show what the assertion of that number of W3C's
// implementation report plan (https://www.w3.org/Voice/2013/scxml-irp/) demands, by machines of our own, since W3C's use a datamodel.
//
// Left out of the framework's 127 cases outside of its copies of W3C's: 31 with a datamodel or script, 14 in which the machine raises or
// sends events or runs other content, 4 with conditions on a datamodel, 35 whose parallel is entered and left, 10 in which a region's own
// transition leaves the parallel, 3 with a parallel in a parallel (regions here stand beside the main machine for good, so that nothing
// that conflicts can be written), 5 with deep history, 3 with events by prefix or any event, deep-initial (a stage that is never reached
// is refused). There are no targetless or internal transitions and no done events.
//
// machine: stages divided by " / ", each "name<inside=start: event>target event>target"; "!" behind a region's name; "e+f>t": on e or f;
// ">t": without an event; ">t*": resumes t; ">t@s": when the lead is at s. script: "event = stages | notes; …", main machine first; notes
// of on_exit ("-a") and on_entry ("+a"), which every stage has, where they are looked at.
struct journey_case {
  const char *name, *start, *machine, *script;
};
static const struct journey_case cases[] = {
    // Plain machines.
    {"scion atom3-basic-tests/m0, m1", "A", "A: e1>B / B: e2>A", "= A; e1 = B; e2 = A"},
    {"scion basic/basic1", "a", "a: t>b / b", "= a; t = b"},
    {"scion basic/basic2", "a", "a: t>b / b: t2>c / c", "= a; t = b; t2 = c"},
    {"scion default-initial-state/initial1, 2", "a", "a: t>b / b", "= a; t = b"},
    {"scion documentOrder/documentOrder0", "a", "a: t>b t>c / b / c", "= a; t = b"},
    {"scion multiple-events-per-transition/test1", "a", "a: foo+bar+bat>b / b: foo+bar+bat>c / c: foo+bar+bat>d / d",
     "= a; foo = b; bar = c; bat = d"},
    // Stages inside of stages.
    {"scion atom3-basic-tests/m2", "AB", "AB=A / A<AB: e1>B / B<AB: e2>A", "= A; e1 = B; e2 = A"},
    {"scion atom3-basic-tests/m3", "AB", "AB=A: e1>C / A<AB: e1>B / B<AB: e2>A / C",
     "= A; e1 = B; e2 = A; e1 = B; e1 = C"},
    {"scion hierarchy/hier0", "a", "a=a1 / a1<a: t>a2 / a2<a", "= a1; t = a2"},
    {"scion hierarchy/hier1", "a", "a=a1: t>b / a1<a: t>a2 / a2<a / b", "= a1; t = a2"},
    {"scion hierarchy/hier2", "a", "a=a1: t>a2 / a1<a: t>b / a2<a / b", "= a1; t = b"},
    {"scion hierarchy+documentOrder/test0", "a", "a=a1: t>b / a1<a: t>a2 t>c / a2<a / b / c", "= a1; t = a2"},
    {"scion hierarchy+documentOrder/test1", "a", "a=a1: t>a2 / a1<a: t>b t>c / a2<a / b / c", "= a1; t = b"},
    // Regions.
    {"scion parallel/test0", "a", "a / r! =b / b<r", "= a b"},
    {"scion parallel/test1", "a", "a=a1 / a1<a: t>a2 / a2<a / r!=b / b<r=b1 / b1<b: t>b2 / b2<b", "= a1 b1; t = a2 b2"},
    {"scion more-parallel/test0", "a", "a: t>a / r!=b / b<r", "= a b; t = a b | -a, +a"},
    // History. Where the default of the history is not the initial stage, b begins there: it is entered by its history alone.
    {"scion history/history0", "a", "a: t1>b* / b=b2 / b2<b: t2>b3 / b3<b: t3>a",
     "= a; t1 = b2; t2 = b3; t3 = a; t1 = b3"},
    {"scion history/history2, the default in b1", "a", "a: t1>b* / b=b1 / b1<b=b1.2 / b1.2<b1: t2>b1.3 / b1.3<b1: t3>a",
     "= a; t1 = b1.2; t2 = b1.3; t3 = a; t1 = b1.2"},
    // The order in which stages are left and entered.
    {"irp 404: the innermost is left first", "a", "a=b / b<a=c / c<b: t>x / x", "= c; t = x | -c, -b, -a, +x"},
    {"irp 404: of regions the last is left first", "a", "a: t>b / b / r!=c / c<r: t>d / d<r",
     "= a c; t = b d | -c, -a, +b, +d"},
    {"irp 406: the outermost is entered first", "x", "x: t>a / a=b / b<a=c / c<b", "= x; t = c | -x, +a, +b, +c"},
    {"irp 403a: inner before outer, then as they are written", "a", "a=b: t>x u>y / b<a: t>y t>x / x / y",
     "= b; t = y | -b, -a, +y"},
    {"irp 403a: the outer one where the inner has none", "a", "a=b: t>x u>y / b<a: t>y / x / y", "= b; u = y"},
    {"irp 403b: one that all children share is taken once", "a", "a=b: t>b2 / b<a: u>b2 / b2<a",
     "= b; t = b2 | -b, -a, +a, +b2"},
    {"irp 405, 406: what both ends have around them stays", "a", "a=b / b<a=c / c<b: t>d / d<b: u>e / e<a",
     "= c; t = d | -c, +d; u = e | -d, -b, +e"},
    {"irp 504: an outer stage's own transition leaves it, though it leads inside", "a",
     "a=b: t>c / b<a: u>c / c<a: u>b", "= b; t = c | -b, -a, +a, +c; t = c | -c, -a, +a, +c"},
    {"irp 533: to the stage around it, which begins anew", "a", "a=b / b<a: u>c / c<a: t>a",
     "= b; u = c; t = b | -c, -a, +a, +b"},
    {"irp 506: to itself", "a", "a: t>a", "= a; t = a | -a, +a"},
    // Where stages begin.
    {"irp 364: an initial stage lies deeper", "a", "a=b / b<a=c / c<b: t>d / d", "= c; t = d"},
    {"irp 412: the initial stages of what is entered", "x", "x: t>a / a=b / b<a=c / c<b: u>x",
     "= x; t = c; u = x; t = c"},
    // Without an event; by run to completion.
    {"irp 419: goes on without an event", "a", "a: t>b / b: >c / c: >d / d", "= a; t = d | -a, +b, -b, +c, -c, +d"},
    {"irp 423: what the event is no more is not waited for", "a", "a: t>b / b: t>c >d@c d>c / c: t>a / d: t>a",
     "= a; t = b; t = c"},
    {"irp 396: an event is known by its whole name", "a", "a: foo>b / b: bar>a", "= a; fo = a; foo.bar = a; foo = b"},
    {"irp 409, 411: where the lead is, is asked before anything moves", "a",
     "a: t>b / b: u>a / r!=p / p<r: t>q@b t>s@a / q<r / s<r", "= a p; t = b s | -p, -a, +b, +s"},
    {"irp 413, in: a region waits for the main machine", "a", "a: t>b / b / r!=p / p<r: >q@b / q<r",
     "= a p; t = b q | -a, +b, -p, +q"},
    {"irp 405: regions move in one step", "a", "a: t>b / b: >a@q / r!=p / p<r: t>q / q<r: >p@a",
     "= a p; t = a p | -p, -a, +b, +q, -b, +a, -q, +p"},
    // History.
    {"irp 387: before it was there, history is where it begins", "x", "x: t>a* / a=b / b<a: u>c / c<a: v>x",
     "= x; t = b"},
    {"irp 388, 580: and then where the lead was", "x", "x: t>a* / a=b / b<a: u>c / c<a: v>x",
     "= x; t = b; u = c; v = x; t = c"},
    {"irp 388: shallow history remembers the child, not what was inside it", "x",
     "x: t>a* / a=b / b<a=c / c<b: u>d / d<b: v>x w>e / e<a: v>x",
     "= x; t = c; u = d; v = x; t = c; u = d; w = e; v = x; t = e"},
    {"irp 388: what is left for its own resume counts as well", "a", "a=b: t>a* / b<a: u>c / c<a: v>b",
     "= b; u = c; t = c | -c, -a, +a, +c"},
    {"irp 388: in a later step, what the step before made the last", "b", "a=b / b<a: t>c / c<a: >a*@c u>b",
     "= b; t = c | -b, +c, -c, -a, +a, +c, -c, -a, +a, +c, -c, -a, +a, +c, -c, -a"},
    {"irp 388: the plain way in forgets nothing, and goes where it begins", "x",
     "x: t>a* u>a / a=b / b<a: u>c / c<a: v>x", "= x; t = b; u = c; v = x; u = b; u = c; v = x; t = c"},
};
