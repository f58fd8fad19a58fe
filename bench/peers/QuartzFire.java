// Quartz beside `pawl_bench fire`: java QuartzFire WHAT STORE COUNT SECONDS THREADS BATCH, one JSON line at the end.
//   WHAT   due    COUNT one-shot triggers that are due when the scheduler starts
//          each   COUNT cron triggers that fire each second, for SECONDS; two seconds before those are not measured
//          spread one-shot triggers, COUNT of them in each second and evenly spread over it, for SECONDS
//   STORE  ram, jdbc or jdbc-cluster; JDBC: a PostgreSQL at 127.0.0.1:$PGPORT, database and user `quartz`
// Each trigger has a job of its own, which does nothing. A trigger has fired when its job runs.
import java.lang.management.ManagementFactory;
import java.util.Date;
import java.util.HashMap;
import java.util.Locale;
import java.util.Map;
import java.util.Properties;
import java.util.Set;
import java.util.concurrent.ConcurrentLinkedQueue;
import java.util.concurrent.atomic.AtomicInteger;
import org.quartz.CronScheduleBuilder;
import org.quartz.Job;
import org.quartz.JobBuilder;
import org.quartz.JobDetail;
import org.quartz.JobExecutionContext;
import org.quartz.Scheduler;
import org.quartz.Trigger;
import org.quartz.TriggerBuilder;
import org.quartz.impl.StdSchedulerFactory;

public class QuartzFire {
  record Fired(long due, long at) {}

  static final ConcurrentLinkedQueue<Fired> fires = new ConcurrentLinkedQueue<>();
  static final AtomicInteger count = new AtomicInteger();

  public static class Nothing implements Job {
    @Override
    public void execute(JobExecutionContext context) {
      fires.add(new Fired(context.getScheduledFireTime().getTime(), System.currentTimeMillis()));
      count.incrementAndGet();
    }
  }

  static Properties properties(String store, int threads, int batch) {
    Properties all = new Properties();
    all.put("org.quartz.scheduler.instanceName", "fire");
    all.put("org.quartz.scheduler.instanceId", "AUTO");
    all.put("org.quartz.scheduler.skipUpdateCheck", "true");
    all.put("org.quartz.scheduler.batchTriggerAcquisitionMaxCount", "" + batch);
    all.put("org.quartz.threadPool.class", "org.quartz.simpl.SimpleThreadPool");
    all.put("org.quartz.threadPool.threadCount", "" + threads);
    String jobs = "org.quartz.jobStore.", database = "org.quartz.dataSource.db.";
    all.put(jobs + "misfireThreshold", "86400000");
    if (store.equals("ram")) {
      all.put(jobs + "class", "org.quartz.simpl.RAMJobStore");
      return all;
    }
    all.put(jobs + "class", "org.quartz.impl.jdbcjobstore.JobStoreTX");
    all.put(jobs + "driverDelegateClass", "org.quartz.impl.jdbcjobstore.PostgreSQLDelegate");
    all.put(jobs + "dataSource", "db");
    all.put(jobs + "isClustered", "" + store.equals("jdbc-cluster"));
    all.put(jobs + "acquireTriggersWithinLock", "" + (batch > 1));
    all.put(database + "provider", "hikaricp");
    all.put(database + "driver", "org.postgresql.Driver");
    all.put(database + "URL", "jdbc:postgresql://127.0.0.1:" + System.getenv("PGPORT") + "/quartz");
    all.put(database + "user", "quartz");
    all.put(database + "password", "none");
    all.put(database + "maxConnections", "" + (threads + 4));
    return all;
  }

  static double cpu() {
    var system = (com.sun.management.OperatingSystemMXBean) ManagementFactory.getOperatingSystemMXBean();
    return system.getProcessCpuTime() / 1e9;
  }

  static void waitFor(int wanted, double seconds) throws InterruptedException {
    long end = System.nanoTime() + (long) (seconds * 1e9);
    while (count.get() < wanted && System.nanoTime() < end) Thread.sleep(2);
  }

  public static void main(String[] words) throws Exception {
    String what = words[0], store = words[1];
    int many = Integer.parseInt(words[2]), seconds = Integer.parseInt(words[3]);
    int threads = Integer.parseInt(words[4]), batch = Integer.parseInt(words[5]);
    Scheduler scheduler = new StdSchedulerFactory(properties(store, threads, batch)).getScheduler();
    scheduler.clear();
    boolean due = what.equals("due"), each = what.equals("each");
    int triggers = what.equals("spread") ? many * seconds : many;
    // Storing them must be over when the first is due.
    long storing = store.equals("ram") ? 0 : triggers * 4L;
    long begin = System.currentTimeMillis() / 1000 * 1000 + (due ? -1000 : 3000 + storing);
    CronScheduleBuilder everySecond = CronScheduleBuilder.cronSchedule("* * * * * ?");
    Map<JobDetail, Set<? extends Trigger>> all = new HashMap<>();
    for (int i = 0; i < triggers; ++i) {
      TriggerBuilder<Trigger> trigger = TriggerBuilder.newTrigger().withIdentity("t" + i);
      JobDetail job = JobBuilder.newJob(Nothing.class).withIdentity("j" + i).build();
      if (each)
        all.put(job, Set.of(trigger.startAt(new Date(begin)).withSchedule(everySecond).build()));
      else
        all.put(job, Set.of(trigger.startAt(new Date(begin + (due ? 0 : 1000L * i / many))).build()));
    }
    scheduler.scheduleJobs(all, true);
    if (!due && System.currentTimeMillis() > begin) throw new IllegalStateException("stored after the first was due");

    double used = cpu();
    long started = System.nanoTime(), from = due ? 0 : begin + (each ? 2000 : 0);
    scheduler.start();
    if (due) {
      waitFor(triggers, 60);
    } else {
      Thread.sleep(Math.max(0, from - System.currentTimeMillis()));
      used = cpu();
      started = System.nanoTime();
      if (each) {
        Thread.sleep(seconds * 1000L);
      } else {
        waitFor(triggers, seconds * 2.0);
      }
    }
    double wall = (System.nanoTime() - started) / 1e9;
    used = cpu() - used;
    long[] late = fires.stream().filter(f -> f.due() >= from).mapToLong(f -> f.at() - f.due()).sorted().toArray();
    System.out.printf(
        Locale.ROOT,
        "{\"fired\":%d,\"of\":%d,\"fires_per_second\":%.1f,\"p50_ms\":%d,\"p99_ms\":%d,\"most_ms\":%d,"
            + "\"cpu_us_per_step\":%.1f}%n",
        late.length, each ? many * seconds : triggers, late.length / wall, at(late, 0.5), at(late, 0.99), at(late, 1),
        used * 1e6 / Math.max(1, late.length));
    System.out.flush();
    Runtime.getRuntime().halt(0);
  }

  static long at(long[] sorted, double share) {
    return sorted.length == 0 ? -1 : sorted[(int) Math.min(sorted.length - 1, share * sorted.length)];
  }
}
