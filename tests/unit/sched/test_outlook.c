/* SPDX-License-Identifier: Apache-2.0 */
/* Fragmentation and score: cases by hand, and properties over random clusters. */
#include "sched/candidate.h"
#include "sched/fragment.h"
#include "sched/outlook.h"
#include "sched/outlook_priv.h"

#include "base/mem.h"

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

static void assert_near(double have, double want, double by)
{
    if (fabs(have - want) > by)
        fail_msg("%.12f is not %.12f", have, want);
}

static void add_node(struct inventory *inventory, uint64_t cpu, uint32_t class_bit,
                     const uint64_t *free_units, size_t count)
{
    inventory_add_node(inventory, &(struct inventory_node){
                                      .cpu_free = cpu, .ram_free = 1000, .class_bit = class_bit});
    for (size_t i = 0; i < count; i++)
        inventory_add_device(
            inventory, (struct inventory_device){.total = 1000, .free = free_units[i]});
}

/* Half of the tasks want 4 processors and a half of a device, half want 8 and a whole one. */
static void add_halves(struct mix *mix)
{
    mix_add(mix, &(struct demand){.cpu = 4, .devices = 1, .units = 500}, 1);
    mix_add(mix, &(struct demand){.cpu = 8, .devices = 1, .units = 1000}, 1);
    mix_finish(mix, 1, 0);
}

/* ---- by hand ---- */

static void test_fragments_by_hand(void **state)
{
    auto_fini(inventory_fini) struct inventory inventory = {0};
    auto_fini(mix_fini) struct mix mix = {0};
    add_halves(&mix);
    add_node(&inventory, 8, 1, (uint64_t[]){1000, 300}, 2);
    const struct demand half = {.cpu = 4, .devices = 1, .units = 500};
    const struct demand whole = {.cpu = 8, .devices = 1, .units = 1000};
    assert_int_equal(fragment_of_kind(&inventory, 0, &half), 300);
    assert_int_equal(fragment_of_kind(&inventory, 0, &whole), 300);
    assert_int_equal(fragment_of_kind(&inventory, 0, &(struct demand){.cpu = 1}), 1300);
    assert_int_equal(
        fragment_of_kind(&inventory, 0,
                         &(struct demand){.devices = 1, .units = 100, .class_set = 2}),
        1300);
    assert_near(fragment_of_node(&inventory, 0, &mix), 300, 1e-9);
    /* Afterwards 500 and 300 are free: the half still fits and loses 300, the whole all 800. */
    struct inventory_claim claim = {.demand = half, .device_set = 1};
    assert_near(fragment_gradient(&inventory, &claim, &mix), (300 + 800) / 2.0 - 300, 1e-9);
    assert_int_equal(inventory.devices[0].free, 1000);
}

/* The example of doc/placement.md. */
static void test_score_by_hand(void **state)
{
    auto_fini(inventory_fini) struct inventory inventory = {0};
    auto_fini(mix_fini) struct mix mix = {0};
    add_halves(&mix);
    add_node(&inventory, 32, 1, (uint64_t[]){1000, 1000}, 2);
    add_node(&inventory, 6, 1, (uint64_t[]){500}, 1);
    struct outlook *outlook = outlook_new(&inventory, &mix);
    size_t half = mix.kinds[0].demand.units == 500 ? 0 : 1;
    /* Node 0 has room for 4 halves and 2 wholes, node 1 for one half: processors for 1.5. */
    assert_near(outlook_room(outlook, half), 5, 1e-9);
    assert_near(outlook_room(outlook, 1 - half), 2, 1e-9);
    const struct demand demand = {.cpu = 4, .devices = 1, .units = 500};
    struct inventory_claim on_0 = {.demand = demand, .node = 0, .device_set = 1};
    struct inventory_claim on_1 = {.demand = demand, .node = 1, .device_set = 1};
    double fragments_0 = (0 - 250) / 3000.0, fragments_1 = (250 - 0) / 3000.0;
    double half_price = 0.5 * pow(3.0 / 5, 0.75) / 3, whole_price = 0.5 * pow(3.0 / 2, 0.75) / 3;
    double want_0 = 1e9 * (1.5 * fragments_0 - half_price - whole_price);
    double want_1 = 1e9 * (1.5 * fragments_1 - half_price);
    assert_near((double)outlook_score(outlook, &on_0), want_0, 200);
    assert_near((double)outlook_score(outlook, &on_1), want_1, 200);
    struct outlook_choice choice;
    assert_int_equal(outlook_choose(outlook, &demand, &choice), 0);
    assert_int_equal(choice.claim.node, 1);
    assert_int_equal(choice.score, outlook_score(outlook, &on_1));
    outlook_free(outlook);
}

/* Room is the mean of whole and exact: 6 processors are for 1 and for 1.5 of 4. */
static void test_room_counts_a_part_of_the_next(void **state)
{
    auto_fini(inventory_fini) struct inventory inventory = {0};
    auto_fini(mix_fini) struct mix mix = {0};
    mix_add(&mix, &(struct demand){.cpu = 4, .devices = 1, .units = 100}, 1);
    mix_add(&mix, &(struct demand){.devices = 4, .units = 1000}, 1);
    mix_add(&mix, &(struct demand){.ram = 300, .devices = 2, .units = 500}, 1);
    mix_finish(&mix, 1, 0);
    add_node(&inventory, 6, 1, (uint64_t[]){1000, 1000, 400}, 3);
    struct outlook *outlook = outlook_new(&inventory, &mix);
    for (size_t i = 0; i < mix.count; i++) {
        double want = mix.kinds[i].demand.devices == 1   ? (1 + 1.5) / 2
                      : mix.kinds[i].demand.devices == 4 ? (0 + 0.5) / 2
                                                         : 2;
        assert_near(outlook_room(outlook, i), want, 1e-9);
    }
    outlook_free(outlook);
}

static void test_rare_class_is_kept_free(void **state)
{
    auto_fini(inventory_fini) struct inventory inventory = {0};
    auto_fini(mix_fini) struct mix mix = {0};
    mix_add(&mix, &(struct demand){.devices = 1, .units = 1000}, 5);
    mix_add(&mix, &(struct demand){.devices = 1, .units = 1000, .class_set = 1}, 1);
    mix_finish(&mix, 1, 0);
    for (int i = 0; i < 4; i++)
        add_node(&inventory, 8, i ? 2 : 1, (uint64_t[]){1000}, 1);
    struct outlook *outlook = outlook_new(&inventory, &mix);
    struct outlook_choice choice;
    assert_int_equal(
        outlook_choose(outlook, &(struct demand){.devices = 1, .units = 1000}, &choice), 0);
    assert_int_equal(choice.claim.node, 1);
    outlook_free(outlook);
}

static void test_nothing_fits(void **state)
{
    auto_fini(inventory_fini) struct inventory inventory = {0};
    auto_fini(mix_fini) struct mix mix = {0};
    inventory_add_node(&inventory, &(struct inventory_node){.cpu_free = 1}); /* without devices */
    struct outlook *outlook = outlook_new(&inventory, &mix);
    struct outlook_choice choice;
    assert_int_equal(outlook_choose(outlook, &(struct demand){.cpu = 2}, &choice), -1);
    assert_int_equal(outlook_choose(outlook, &(struct demand){.cpu = 1}, &choice), 0);
    assert_int_equal(choice.score, 0);
    outlook_free(outlook);
}

/* Among so many amounts some are kept at the same place. */
static void test_offers_do_not_mix(void **state)
{
    auto_fini(mix_fini) struct mix mix = {0};
    mix_add(&mix, &(struct demand){.devices = 1, .units = 7}, 1);
    mix_finish(&mix, 1, 0);
    struct outlook_class *of = outlook_class_new(&mix, 1, 1);
    for (uint64_t one = 1; one < 2000; one += 37) {
        for (uint64_t other = 1; other < 2000; other++) {
            struct offer before, after;
            outlook_class_offers(of, one, other, &before, &after);
            assert_int_equal((int)before.slots[0][0], one / 7);
            assert_int_equal((int)after.slots[0][0], other / 7);
        }
    }
    outlook_class_free(of);
}

/* ---- random clusters ---- */

static uint64_t seed;

static unsigned draw(unsigned below)
{
    seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (unsigned)(seed >> 33) % below;
}

static struct demand random_demand(void)
{
    struct demand demand = {.cpu = draw(3) ? 1 + draw(16) : 0, .ram = draw(4) ? 0 : draw(200)};
    if (draw(8) == 0)
        return demand;
    demand.devices = draw(4) ? 1 : 2 + draw(3);
    demand.units = demand.devices > 1 || draw(2) ? 1000 : 50 + 10 * draw(95);
    demand.class_set = draw(3) ? 0 : 1 + draw(7);
    return demand;
}

static void make_cluster(struct inventory *inventory, struct mix *mix)
{
    unsigned nodes = 1 + draw(12), kinds = 1 + draw(14);
    for (unsigned n = 0; n < nodes; n++) {
        uint64_t free_units[4];
        for (size_t i = 0; i < ARRAY_LEN(free_units); i++)
            free_units[i] = draw(2) ? 1000 : 10 * draw(101);
        add_node(inventory, draw(64), draw(10) ? 1U << draw(3) : 0, free_units, draw(5));
    }
    for (unsigned k = 0; k < kinds; k++) {
        struct demand demand = random_demand();
        mix_add(mix, &demand, 1 + draw(9));
    }
    mix_finish(mix, 1, 0);
}

/* The score without anything kept: rooms and fragments of the whole cluster, before and after. */
static double room_by_definition(const struct inventory *inventory, size_t node,
                                 const struct demand *kind)
{
    const struct inventory_node *on = &inventory->nodes[node];
    const struct inventory_device *devices = inventory_devices(inventory, node);
    double slots = 0, fits = 0;
    if (!on->class_bit || !kind->devices || (kind->class_set && !(kind->class_set & on->class_bit)))
        return 0;
    for (uint32_t i = 0; i < on->device_count; i++) {
        slots += floor((double)devices[i].free / (double)kind->units);
        fits += devices[i].free >= kind->units;
    }
    double count = (fits >= kind->devices ? slots : fits) / kind->devices;
    count = kind->cpu ? fmin(count, (double)on->cpu_free / (double)kind->cpu) : count;
    count = kind->ram ? fmin(count, (double)on->ram_free / (double)kind->ram) : count;
    return (floor(count) + floor(count * 256) / 256) / 2;
}

static double score_by_definition(struct inventory *inventory, const struct mix *mix,
                                  const struct inventory_claim *claim)
{
    double total = 0, cost = 0;
    for (size_t i = 0; i < inventory->device_count; i++)
        total += (double)inventory->devices[i].total;
    for (size_t k = 0; k < mix->count; k++) {
        double all = 0;
        for (size_t n = 0; n < inventory->node_count; n++)
            all += room_by_definition(inventory, n, &mix->kinds[k].demand);
        double before = room_by_definition(inventory, claim->node, &mix->kinds[k].demand);
        inventory_apply(inventory, claim);
        double after = room_by_definition(inventory, claim->node, &mix->kinds[k].demand);
        inventory_undo(inventory, claim);
        double devices = (double)inventory->device_count;
        if (all > 0)
            cost += mix->kinds[k].weight * pow(devices / all, 0.75) * (before - after) / devices;
    }
    /* Kinds without devices lose all that is free, before and after: they are left out. */
    double hostly = 0;
    for (size_t k = 0; k < mix->count; k++)
        hostly += mix->kinds[k].demand.devices ? 0 : mix->kinds[k].weight;
    double units = (double)(claim->demand.units * claim->demand.devices);
    double gain = -fragment_gradient(inventory, claim, mix) - hostly * units;
    return 1e9 * (OUTLOOK_FRAGMENT_WEIGHT * (total > 0 ? gain / total : 0) - cost);
}

static void check_scores(struct outlook *outlook, struct inventory *inventory,
                         const struct mix *mix, const struct demand *demand)
{
    for (size_t n = 0; n < inventory->node_count; n++) {
        struct candidates candidates;
        candidates_find(inventory, n, demand, &candidates);
        for (size_t i = 0; i < candidates.count && inventory->nodes[n].class_bit; i++) {
            struct inventory_claim claim = {.demand = *demand, .node = (uint32_t)n,
                                            .device_set = candidates.device_sets[i]};
            double want = score_by_definition(inventory, mix, &claim);
            assert_near((double)outlook_score(outlook, &claim), want, 2000 + fabs(want) * 1e-5);
        }
    }
}

/* Places and takes back at random; scores are as by definition, and as of an outlook made anew. */
static void run_cluster(void)
{
    auto_fini(inventory_fini) struct inventory inventory = {0};
    auto_fini(mix_fini) struct mix mix = {0};
    make_cluster(&inventory, &mix);
    struct outlook *outlook = outlook_new(&inventory, &mix);
    struct inventory_claim held[20];
    size_t held_count = 0;
    for (int step = 0; step < 20; step++) {
        struct demand demand = random_demand();
        struct outlook_choice choice = {.score = 0}, again = {.score = 0};
        check_scores(outlook, &inventory, &mix, &demand);
        struct outlook *fresh = outlook_new(&inventory, &mix);
        int rc = outlook_choose(outlook, &demand, &choice);
        assert_int_equal(outlook_choose(fresh, &demand, &again), rc);
        assert_memory_equal(&choice, &again, sizeof choice);
        outlook_free(fresh);
        if (rc == 0) {
            inventory_apply(&inventory, &choice.claim);
            outlook_update(outlook, choice.claim.node);
            held[held_count++] = choice.claim;
        }
        if (held_count && draw(3) == 0) {
            size_t which = draw((unsigned)held_count);
            inventory_undo(&inventory, &held[which]);
            outlook_update(outlook, held[which].node);
            held[which] = held[--held_count];
        }
    }
    outlook_free(outlook);
}

static void test_kept_scores_are_as_by_definition(void **state)
{
    for (seed = 1; seed <= 300;) {
        uint64_t of_cluster = seed;
        run_cluster();
        seed = of_cluster + 1;
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_fragments_by_hand),
        cmocka_unit_test(test_score_by_hand),
        cmocka_unit_test(test_room_counts_a_part_of_the_next),
        cmocka_unit_test(test_rare_class_is_kept_free),
        cmocka_unit_test(test_nothing_fits),
        cmocka_unit_test(test_offers_do_not_mix),
        cmocka_unit_test(test_kept_scores_are_as_by_definition),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
