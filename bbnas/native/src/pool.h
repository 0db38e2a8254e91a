// Threads that wait for work. They first spin, because the next segment of a network arrives within
// microseconds, and then sleep.
#pragma once
#include <atomic>
#include <condition_variable>
#include <functional>
#include <mutex>
#include <thread>
#include <vector>

namespace bbnas {

class Pool {
  public:
    ~Pool() {
        {
            std::lock_guard<std::mutex> lock(mutex_);
            stop_ = true;
            generation_.fetch_add(1);
        }
        wake_.notify_all();
        for (auto& thread : threads_) thread.join();
    }

    // work(task, thread) for tasks 0..tasks-1 on `threads` threads, this one among them.
    void run(int threads, int tasks, const std::function<void(int, int)>& work) {
        if (threads > tasks) threads = tasks;
        if (threads <= 1) {
            for (int task = 0; task < tasks; task++) work(task, 0);
            return;
        }
        while (static_cast<int>(threads_.size()) < threads - 1) {
            const int index = static_cast<int>(threads_.size()) + 1;
            threads_.emplace_back([this, index, seen = generation_.load()] { loop(index, seen); });
        }
        work_ = &work;
        tasks_ = tasks;
        wanted_ = threads;
        next_.store(0);
        busy_.store(static_cast<int>(threads_.size()));
        {
            std::lock_guard<std::mutex> lock(mutex_);
            generation_.fetch_add(1);
        }
        wake_.notify_all();
        drain(0);
        for (int spin = 0; busy_.load(std::memory_order_acquire) > 0; spin++) {
            if (spin < SPINS)
                pause();
            else
                std::this_thread::yield();
        }
    }

  private:
    static constexpr int SPINS = 2000;  // iterations before sleep: tens of microseconds

    static void pause() {
#if defined(__x86_64__)
        __builtin_ia32_pause();
#elif defined(__aarch64__)
        asm volatile("yield");
#endif
    }

    void drain(int index) {
        for (int task; (task = next_.fetch_add(1)) < tasks_;) (*work_)(task, index);
    }

    void loop(int index, unsigned seen) {
        for (;;) {
            for (int spin = 0; generation_.load(std::memory_order_acquire) == seen; spin++) {
                if (spin < SPINS) {
                    pause();
                    continue;
                }
                std::unique_lock<std::mutex> lock(mutex_);
                wake_.wait(lock, [&] { return generation_.load() != seen; });
            }
            seen = generation_.load();
            if (stop_) return;
            if (index < wanted_) drain(index);
            busy_.fetch_sub(1, std::memory_order_release);
        }
    }

    std::mutex mutex_;
    std::condition_variable wake_;
    std::vector<std::thread> threads_;
    std::atomic<unsigned> generation_{0};
    std::atomic<int> next_{0}, busy_{0};
    const std::function<void(int, int)>* work_ = nullptr;
    int tasks_ = 0, wanted_ = 0;
    bool stop_ = false;
};

}  // namespace bbnas
